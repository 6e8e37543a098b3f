"""Banks in layouts of their own, written from what they are to land as.

`write_core_banking` writes a delivery of the contract as extracts of a core banking system, in GBK;
`write_fineract` makes a small bank twice, as tables of Apache Fineract and in the contract's form.
"""

from __future__ import annotations

import csv
import random
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

Row = dict[str, str]
Write = Callable[[str], str]


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def day(text: str) -> str:
    return text.replace("-", "") or "00000000"


def month_end(text: str) -> str:
    first = date.fromisoformat(text)
    return f"{first:%Y%m}{monthrange(first.year, first.month)[1]}"


def cents(text: str) -> str:
    return text and str(int(Decimal(text) * 100))


def per_cent(text: str) -> str:
    return text and f"{(Decimal(text) * 100).normalize():f}"


def coded(codes: dict[str, str]) -> Write:
    own = {contract: bank for bank, contract in codes.items()}
    return lambda text: own[text]


def same(text: str) -> str:
    return text


LINES = {"储蓄": "deposits", "信贷": "lending", "银行卡": "cards", "理财": "wealth"}
KINDS = {
    **{"1001": "deposit", "1002": "withdrawal", "1102": "transfer_out", "1201": "card_payment"},
    **{"2001": "interest_paid", "2002": "interest_charged", "2101": "fee", "3001": "loan_payout"},
    **{"3002": "loan_repayment", "3003": "write_off", "3004": "recovery"},
}
ITEMS = {
    **{"刷卡手续费": "interchange", "税金及附加": "tax", "减值准备": "provision"},
    **{"已核销损失": "realised_loss", "应计利息收入": "accrued_interest_income"},
    **{"应计利息支出": "accrued_interest_expense", "代理佣金": "commission", "管理费": "asset_fee"},
}
BOOKS = {"6021": "fee_income", "2011": "customer_balance", "6601": "operating_cost"}
# Table → file, and the bank's columns: name, the contract's column, how it is written.
CORE: dict[str, tuple[str, list[tuple[str, str, Write]]]] = {
    "branch": ("JGXX", [("机构号", "branch_id", same), ("机构名称", "branch_name", same)]),
    "customer": (
        "KHXX",
        [
            ("客户号", "customer_id", same),
            ("客户姓名", "", same),
            ("开户日期", "customer_since", day),
            ("出生日期", "birth_date", day),
            ("性别", "", same),
            ("客户类型", "", same),
            ("客户经理号", "employee_id", same),
        ],
    ),
    "product": (
        "CPXX",
        [
            ("产品代码", "product_id", same),
            ("产品名称", "product_name", same),
            ("条线", "product_line", coded(LINES)),
        ],
    ),
    "account": (
        "ZHXX",
        [
            ("账号", "account_id", same),
            ("产品代码", "product_id", same),
            ("开户机构", "branch_id", same),
            ("开户日期", "opened_on", day),
            ("销户日期", "closed_on", day),
            ("币种", "currency", coded({"156": "", "840": "USD"})),
            ("年利率(%)", "interest_rate", per_cent),
            ("授信额度", "credit_limit", cents),
            ("期限(月)", "term_months", same),
            ("转入机构日期", "branch_since", day),
        ],
    ),
    "account_holder": (
        "ZHKH",
        [
            ("账号", "account_id", same),
            ("客户号", "customer_id", same),
            (
                "关系",
                "role",
                coded({"主账户人": "owner", "共有人": "joint", "授权人": "authorised"}),
            ),
        ],
    ),
    "account_owner": (
        "YJFP",
        [
            ("账号", "account_id", same),
            ("员工号", "employee_id", same),
            ("比例(%)", "share", per_cent),
            ("岗位", "role", coded({"管户": "manager", "营销": "seller", "专家": "specialist"})),
            ("生效日期", "valid_from", day),
            ("失效日期", "valid_to", day),
        ],
    ),
    "loan": (
        "DKXX",
        [
            ("借据号", "loan_id", same),
            ("账号", "account_id", same),
            ("放款日期", "granted_on", day),
            ("放款金额", "principal", cents),
            ("期限(月)", "term_months", same),
            ("年利率(%)", "interest_rate", per_cent),
        ],
    ),
    "loan_status": (
        "DKZT",
        [
            ("借据号", "loan_id", same),
            ("数据日期", "month", month_end),
            ("本金余额", "outstanding", cents),
            ("逾期天数", "days_past_due", same),
            ("五级分类", "defaulted", coded({"正常": "false", "次级": "true"})),
        ],
    ),
    "account_balance": (
        "ZHYE",
        [
            ("账号", "account_id", same),
            ("数据日期", "month", month_end),
            ("期末余额", "closing_balance", cents),
            ("积数", "balance_day_sum", cents),
        ],
    ),
    "account_result": (
        "ZHSY",
        [
            ("账号", "account_id", same),
            ("数据日期", "month", month_end),
            ("损益项目", "item", coded(ITEMS)),
            ("金额", "amount", cents),
        ],
    ),
    "fx_rate": (
        "HLXX",
        [
            ("数据日期", "month", month_end),
            ("币种", "currency", coded({"840": "USD"})),
            ("平均汇率", "average_rate", per_cent),
            ("期末汇率", "closing_rate", per_cent),
        ],
    ),
    "ledger": (
        "ZZXX",
        [
            ("数据日期", "month", month_end),
            ("机构号", "branch_id", same),
            ("条线", "product_line", coded(LINES)),
            ("科目号", "ledger_account", coded(BOOKS)),
            ("金额", "amount", cents),
        ],
    ),
    "adjustment": (
        "TZFL",
        [
            ("分录号", "adjustment_id", same),
            ("数据日期", "month", month_end),
            ("机构号", "branch_id", same),
            ("条线", "product_line", coded(LINES)),
            ("科目号", "item", coded(BOOKS)),
            ("金额", "amount", cents),
            ("事由", "reason", same),
            ("经办", "maker", same),
            ("复核", "checker", same),
        ],
    ),
}
BOOKING = ("流水号", "账号", "交易日期", "交易金额", "借贷标志", "交易码", "渠道")
CHANNELS = {"柜面": "branch", "系统": "system"}


def write_core_banking(delivery: Path, to: Path) -> Path:
    """A delivery of the contract in CSV as GBK extracts, as `core_banking.yml` maps them."""
    for table, (name, columns) in CORE.items():
        header = [bank for bank, _, _ in columns]
        if table == "account":
            for path in sorted((delivery / table).glob("*.csv")):
                day_of = month_end(f"{path.stem}-01")
                _gbk(to / f"{name}_{day_of}.txt", header, _core_rows(read(path), columns))
        else:
            rows = _core_rows(read(delivery / f"{table}.csv"), columns)
            _gbk(to / f"{name}.txt", header, rows)
    months = defaultdict(list)
    for row in read(delivery / "transaction.csv"):
        amount = Decimal(row["amount"])
        months[row["booked_on"][:7]].append(
            [
                row["transaction_id"],
                row["account_id"],
                day(row["booked_on"]),
                cents(str(abs(amount))),
                "贷" if amount >= 0 else "借",
                coded(KINDS)(row["kind"]),
                coded(CHANNELS)(row["channel"]),
            ]
        )
    for month, rows in months.items():
        _gbk(to / "JYMX" / f"JYMX_{month.replace('-', '')}.txt", BOOKING, rows)
    return to


def _core_rows(rows: list[Row], columns: Sequence[tuple[str, str, Write]]) -> list[list[str]]:
    found = []
    for row in rows:
        values = [write(row.get(name) or "") if name else "" for _, name, write in columns]
        found.append(["张三" if bank == "客户姓名" else value
                      for (bank, _, _), value in zip(columns, values, strict=True)])  # fmt: skip
    return found


def _gbk(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Fixed widths leave blanks behind values; the last line has an end of line, too.
    lines = ["|".join(f"{value} " if value else value for value in row) for row in (header, *rows)]
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("gbk"))


FIRST = date(2024, 1, 1)
# Type of a savings transaction → kind in the contract and sign; None where nothing lands.
SAVINGS: dict[int, tuple[str, int] | None] = {
    **{1: ("deposit", 1), 2: ("withdrawal", -1), 3: ("interest_paid", 1), 4: ("fee", -1)},
    **{5: ("fee", -1), 7: ("fee", -1), 17: ("interest_charged", -1), 18: ("other", -1)},
    **{6: None, 10: None, 12: None, 20: None, 21: None},
}
LOANS: dict[int, tuple[str, int] | None] = {
    **{1: ("loan_payout", -1), 2: ("loan_repayment", 1), 6: ("write_off", 1)},
    **{4: None, 8: None, 10: None},
}


class Fineract:
    """The tables of both forms, row by row."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.own: dict[str, list[Row]] = defaultdict(list)
        self.contract: dict[str, list[Row]] = defaultdict(list)

    def money(self) -> Decimal:
        return Decimal(self.draw.randint(100, 900_000)) / 100

    def rate(self) -> Decimal:
        return Decimal(self.draw.randint(0, 1_500)) / 100

    def later(self, start: date, days: int = 120) -> date:
        return start + timedelta(days=self.draw.randrange(days))


def write_fineract(own: Path, contract: Path, seed: int = 7, clients: int = 60) -> None:
    """A small bank as tables of Fineract, as `fineract.yml` maps them, and as the contract's."""
    bank = Fineract(seed)
    for number in (1, 2):
        bank.own["m_office"].append({"id": f"{number}", "name": f"Office {number}"})
        bank.contract["branch"].append(
            {"branch_id": f"{number}", "branch_name": f"Office {number}"}
        )
    bank.own["m_staff"].append(
        {"id": "1", "office_id": "1", "is_loan_officer": "1", "joining_date": "2020-02-01"}
    )
    bank.contract["employee"].append(
        {
            **{"employee_id": "1", "branch_id": "1", "role": "relationship_manager"},
            "hired_on": "2020-02-01",
        }
    )
    for number, word in ((21, "Male"), (22, "Female"), (30, "Brick house")):
        bank.own["m_code_value"].append({"id": f"{number}", "code_value": word})
    for kind, table, line in (
        ("S", "m_savings_product", "deposits"),
        ("L", "m_product_loan", "lending"),
    ):
        bank.own[table].append({"id": "1", "name": f"{line}, plain"})
        bank.contract["product"].append(
            {"product_id": f"{kind}1", "product_name": f"{line}, plain", "product_line": line}
        )
    for number in range(1, clients + 1):
        _client(bank, number)
    for folder, tables, null in ((own, bank.own, r"\N"), (contract, bank.contract, "")):
        folder.mkdir(parents=True)
        for table, rows in tables.items():
            names = list(dict.fromkeys(name for row in rows for name in row))
            with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, names, restval=null)
                writer.writeheader()
                writer.writerows({n: row.get(n) or null for n in names} for row in rows)


def _client(bank: Fineract, number: int) -> None:
    active = number % 10 != 0
    since = bank.later(FIRST, 60)
    office, sex = f"{1 + number % 2}", bank.draw.choice(("", "21", "22"))
    born = bank.later(date(1950, 1, 1), 18_000)
    company = number % 7 == 0
    no = f"{number:09d}"
    bank.own["m_client"].append(
        {
            **{"id": f"{number}", "account_no": no, "office_id": office, "gender_cv_id": sex},
            **{"activation_date": f"{since}" if active else "", "date_of_birth": f"{born}"},
            **{"legal_form_enum": "2" if company else bank.draw.choice(("1", "")), "staff_id": "1"},
            **{"display_name": f"Client, {number}", "mobile_no": "", "email_address": ""},
        }
    )
    if active:
        bank.contract["customer"].append(
            {
                **{"customer_id": no, "customer_since": f"{since}", "birth_date": f"{born}"},
                **{"sex": {"21": "male", "22": "female", "": ""}[sex], "employee_id": "1"},
                **{"customer_kind": "corporate" if company else "person"},
                **{"full_name": f"Client, {number}", "phone": "", "email": ""},
            }
        )
        _savings(bank, number, no, office, since)
        if number % 3 == 0:
            _loan(bank, number, no, office, since)


def _savings(bank: Fineract, number: int, client: str, office: str, since: date) -> None:
    opened = bank.later(since, 20)
    closed = bank.later(date(2024, 6, 1), 30) if number % 11 == 0 else None
    rate = bank.rate()
    # Every fifth has an application beside it that was never activated.
    for key, at in ((number, opened), *(((1_000 + number), None),) * (number % 5 == 0)):
        bank.own["m_savings_account"].append(
            {
                **{"id": f"{key}", "client_id": f"{number}", "product_id": "1"},
                **{"activatedon_date": f"{at or ''}", "closedon_date": f"{closed or ''}"},
                **{"currency_code": "EUR", "nominal_annual_interest_rate": f"{rate:.6f}"},
                "overdraft_limit": "",
            }
        )
    account = f"S{number}"
    bank.contract["account"].append(
        {
            **{"account_id": account, "product_id": "S1", "branch_id": office, "currency": "EUR"},
            **{"opened_on": f"{opened}", "closed_on": f"{closed or ''}"},
            **{"interest_rate": f"{rate / 100:.6f}", "credit_limit": "", "term_months": ""},
        }
    )
    _holder(bank, account, client)
    balance = Decimal(0)
    for _ in range(bank.draw.randint(1, 8)):
        kind = bank.draw.choice(list(SAVINGS))
        reversed_ = bank.draw.random() < 0.1
        amount = bank.money()
        meant = SAVINGS[kind]
        if meant and not reversed_:
            balance += meant[1] * amount
        key = len(bank.own["m_savings_account_transaction"]) + 1
        on = bank.later(opened)
        bank.own["m_savings_account_transaction"].append(
            {
                **{"id": f"{key}", "savings_account_id": f"{number}"},
                **{"transaction_type_enum": f"{kind}", "is_reversed": f"{int(reversed_)}"},
                **{"transaction_date": f"{on}", "amount": f"{amount:.6f}"},
                "running_balance_derived": f"{balance:.6f}",
            }
        )
        if meant and not reversed_:
            _booking(bank, f"S{key}", account, on, meant[1] * amount, meant[0], balance)


def _loan(bank: Fineract, number: int, client: str, office: str, since: date) -> None:
    granted, rate, principal = bank.later(since, 20), bank.rate(), bank.money() * 10
    years = number % 2 == 0
    paid_out = number % 9 != 0
    bank.own["m_loan"].append(
        {
            **{"id": f"{number}", "client_id": f"{number}", "product_id": "1"},
            **{"disbursedon_date": f"{granted}" if paid_out else "", "closedon_date": ""},
            **{"currency_code": "EUR", "annual_nominal_interest_rate": f"{rate:.6f}"},
            **{"term_frequency": "2" if years else "18"},
            **{"term_period_frequency_enum": "3" if years else "2"},
            **{"principal_disbursed_derived": f"{principal:.6f}"},
        }
    )
    if not paid_out:
        return
    loan, term = f"L{number}", "24" if years else "18"
    shared = {"interest_rate": f"{rate / 100:.6f}", "term_months": term}
    bank.contract["account"].append(
        {
            **{"account_id": loan, "product_id": "L1", "branch_id": office, "currency": "EUR"},
            **{"opened_on": f"{granted}", "closed_on": "", "credit_limit": "", **shared},
        }
    )
    bank.contract["loan"].append(
        {
            **{"loan_id": loan, "account_id": loan, "granted_on": f"{granted}"},
            **{"principal": f"{principal:.2f}", **shared},
        }
    )
    _holder(bank, loan, client)
    owed = Decimal(0)
    kinds = [1, *(bank.draw.choice(list(LOANS)[1:]) for _ in range(bank.draw.randint(0, 5)))]
    for kind in kinds:
        part = principal if kind == 1 else min(bank.money() / 10, owed)
        interest = Decimal(0) if kind == 1 else bank.money() / 100
        meant = LOANS[kind]
        if meant:
            owed -= meant[1] * part
        key, on = len(bank.own["m_loan_transaction"]) + 1, bank.later(granted)
        bank.own["m_loan_transaction"].append(
            {
                **{"id": f"{key}", "loan_id": f"{number}", "is_reversed": "0"},
                **{"transaction_type_enum": f"{kind}", "transaction_date": f"{on}"},
                **{"amount": f"{round(part + interest, 2):.6f}"},
                **{"principal_portion_derived": "" if kind == 1 else f"{round(part, 2):.6f}"},
                "outstanding_loan_balance_derived": f"{round(owed, 2):.6f}",
            }
        )
        if meant:
            amount = round(meant[1] * part, 2)
            _booking(bank, f"L{key}", loan, on, amount, meant[0], -round(owed, 2))


def _holder(bank: Fineract, account: str, client: str) -> None:
    bank.contract["account_holder"].append(
        {"account_id": account, "customer_id": client, "role": "owner"}
    )


def _booking(
    bank: Fineract, key: str, account: str, on: date, amount: Decimal, kind: str, after: Decimal
) -> None:
    bank.contract["transaction"].append(
        {
            **{"transaction_id": key, "account_id": account, "booked_on": f"{on}"},
            **{"amount": f"{amount:.2f}", "kind": kind, "balance_after": f"{after:.2f}"},
        }
    )
