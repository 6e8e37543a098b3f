"""`check`: a delivery judged without building from it, in words, in JSON, by its exit status."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.engine import TableLanded
from orchestration.operations import delivery_check
from orchestration.operations.delivery_check import (
    Judgement,
    codes_to_add,
    judgement,
    own_place,
)
from orchestration.platform.engine import connect
from orchestration.platform.lock import one_refresh_at_a_time
from orchestration.platform.releases import point_at
from orchestration.platform.settings import read_settings
from sources.files import DeliveredFiles
from sources.mapping.source import MappedFiles

BANK = {
    "product": "product_id,product_line\nP1,deposits\n",
    "customer": "customer_id,birth_date,full_name\nC1,1980-01-01,Ann\nC2,1990-02-02,Bob\n",
    "account": "account_id,product_id,opened_on\nA1,P1,2023-05-01\nA2,P1,2024-01-05\n",
    "account_holder": "account_id,customer_id,role\nA1,C1,owner\nA2,C2,owner\n",
    "transaction": "transaction_id,account_id,booked_on,amount,kind\n"
    "T1,A1,2024-01-10,100.00,deposit\nT2,A1,2024-02-10,-30.50,withdrawal\n"
    "T3,A2,2024-02-11,-0.05,fee\nT4,A2,2024-03-30,7.25,interest_paid\n"
    "T5,A2,2024-04-02,9.99,interest_paid\n",
}
REQUIRED = [table for table in BANK]


class Delivery:
    """A delivery of five files and the home it is checked from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "delivery", folder / "home"
        self.folder.mkdir()
        for table, text in BANK.items():
            self.put(f"{table}.csv", text)

    def put(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def check(self, **given: str) -> Judgement:
        return judgement({"source_path": str(self.folder), "home": str(self.home), **given})

    def contents(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.home).as_posix(): path.read_bytes()
            for path in sorted(self.home.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def delivery(tmp_path):
    return Delivery(tmp_path)


def test_a_good_delivery_is_counted_totalled_and_passes(delivery):
    found = delivery.check()
    assert found.status == "ok", found.problems
    assert found.problems == []
    assert [row for row in found.tables if row["table"] == "transaction"] == [
        {"table": "transaction", "delivered": 5, "landed": 4, "quarantined": 0, "later": 1}
        | {"earlier": 0}
    ]
    assert {row["table"] for row in found.tables} == set(REQUIRED)
    assert found.control == [
        {"month": "2024-01", "bookings": 1, "amount": "100.00"},
        {"month": "2024-02", "bookings": 2, "amount": "-30.55"},
        {"month": "2024-03", "bookings": 1, "amount": "7.25"},
    ]
    assert any("no `loan`" in note for note in found.notes)
    assert all(rule["success"] for rule in found.gate if rule["severity"] == "fail")
    limits = {rule["limit"] for rule in found.gate}
    assert {"at least -0.2", "0.2 to 5", "0"} <= limits


def test_a_delivery_is_judged_as_of_the_month_asked_for(delivery):
    found = delivery.check(as_of="2024-02")
    assert [row["month"] for row in found.control] == ["2024-01", "2024-02"]
    (bookings,) = (row for row in found.tables if row["table"] == "transaction")
    assert (bookings["landed"], bookings["later"]) == (3, 2)


def test_a_failed_gate_names_the_rule_the_observation_the_limit_and_the_cure(delivery):
    delivery.put("transaction.csv", BANK["transaction"].replace(",A1,", ",nobody,", 1))
    found = delivery.check()
    assert found.status == "gate_failed"
    (bookings,) = (row for row in found.tables if row["table"] == "transaction")
    assert bookings["delivered"] == 5
    assert bookings["delivered"] == sum(
        bookings[part] for part in ("landed", "quarantined", "later")
    )
    broken = [rule for rule in found.gate if not rule["success"] and rule["severity"] == "fail"]
    assert len(found.problems) == len(broken)
    assert any("transaction" in rule["seen"] and rule["limit"] == "at most 0" for rule in broken)
    assert "deliver the file again" in found.problems[0]


def test_events_older_than_the_bookings_are_counted_and_not_seen_with_one_note(delivery):
    delivery.put(
        "interaction.csv",
        "interaction_id,customer_id,occurred_on\nI1,C1,2022-05-01\nI2,C2,2024-02-01\n",
    )
    delivery.put(
        "ledger.csv",
        "month,branch_id,product_line,ledger_account,amount\n"
        "2023-12-01,B1,deposits,fee_income,0.05\n2024-02-01,B1,deposits,fee_income,0.05\n",
    )
    delivery.put("branch.csv", "branch_id\nB1\n")
    found = delivery.check()
    assert found.status == "ok", found.problems
    (note,) = (note for note in found.notes if "lie before the first month of bookings" in note)
    assert "1 of 2 row(s) of interaction, 1 of 2 row(s) of ledger" in note
    counts = {row["table"]: row for row in found.tables}
    for table in ("interaction", "ledger"):
        assert counts[table] == {"table": table, "delivered": 2, "landed": 1} | {
            "quarantined": 0,
            "later": 1,
            "earlier": 1,
        }


BALANCES = "account_id,month,closing_balance\n"
OPENING = "opened before 2024-01, the first month of the bookings"


@pytest.mark.parametrize(
    "balances, unknown",
    [
        ("", 2),
        (f"{BALANCES}A1,2023-11-01,1.00\nA0,2023-11-01,1.00\n", 2),
        (f"{BALANCES}A1,2024-02-01,1.00\nA0,2024-01-01,1.00\n", 1),
        (f"{BALANCES}A1,2023-12-01,1.00\nA0,2023-12-01,1.00\n", 0),
    ],
)
def test_accounts_from_before_the_bookings_without_a_balance_are_counted_with_the_month_to_deliver(
    delivery, balances, unknown
):
    """A0 and A1 are from before, A2 is not, A9 is closed; A3's first booking has a balance."""
    delivery.put(
        "account.csv",
        "account_id,product_id,opened_on,closed_on\nA1,P1,2023-05-01,\nA2,P1,2024-01-05,\n"
        "A0,P1,2020-01-01,2024-02-20\nA9,P1,2020-01-01,2023-12-31\nA3,P1,2020-01-01,\n",
    )
    delivery.put(
        "account_holder.csv",
        "account_id,customer_id,role\n" + "".join(f"A{n},C1,owner\n" for n in (0, 1, 2, 3, 9)),
    )
    bookings = [f"{line}," for line in BANK["transaction"].splitlines()[1:]]
    bookings += ["T6,A3,2024-01-04,5.00,deposit,55.00", "T7,A3,2024-01-04,1.00,deposit,"]
    delivery.put(
        "transaction.csv",
        "transaction_id,account_id,booked_on,amount,kind,balance_after\n" + "\n".join(bookings),
    )
    if balances:
        delivery.put("account_balance.csv", balances)
    found = delivery.check()
    notes = [note for note in found.notes if OPENING in note]
    assert len(notes) == bool(unknown), found.problems
    if unknown:
        counted = "1 account was" if unknown == 1 else "2 accounts were"
        assert notes[0].startswith(f"{counted} {OPENING}")
        assert "Deliver account_balance for 2023-12, one row an account" in notes[0]
    older = [note for note in found.notes if "the end of 2023-12 alone opens the history" in note]
    assert len(older) == ("2023-11" in balances)


def accounts(*currencies: str) -> str:
    return "account_id,product_id,opened_on,currency\n" + "".join(
        f"A{number},P1,2024-01-05,{currency}\n" for number, currency in enumerate(currencies, 1)
    )


def test_accounts_in_two_currencies_are_refused_with_the_accounts_of_each(delivery):
    delivery.put("account.csv", accounts("EUR", "JPY", "EUR", "EUR"))
    found = delivery.check()
    assert found.status == "refused"
    (problem,) = found.problems
    assert problem.startswith("account, column currency: accounts in 2 currencies")
    assert "EUR 3, JPY 1" in problem
    (problem,) = delivery.check(currency="eur").problems
    assert "currencies other than the bank's, EUR" in problem
    assert "(JPY 1)" in problem


RATES = "month,currency,average_rate,closing_rate\n"


def rates(currency: str, *months: str) -> str:
    return "".join(f"2024-{month}-01,{currency},0.0061,0.0062\n" for month in months)


def test_accounts_in_another_currency_need_a_rate_for_each_of_their_months(delivery):
    delivery.put("account.csv", accounts("EUR", "JPY"))
    delivery.put("fx_rate.csv", RATES + rates("JPY", "01", "03") + rates("USD", "01"))
    found = delivery.check(as_of="2024-03")
    assert found.status == "refused"
    (problem,) = found.problems
    assert problem.startswith(
        "fx_rate, column currency: months without an exchange rate: JPY 2024-02"
    )
    delivery.put("fx_rate.csv", RATES + rates("JPY", "01", "02", "03"))
    found = delivery.check(as_of="2024-03")
    assert found.status == "ok", found.problems
    assert "accounts in other currencies are translated (JPY 1)" in found.notes
    # A rate of zero is no rate: landing sets its row aside.
    delivery.put("fx_rate.csv", RATES + rates("JPY", "01", "02") + "2024-03-01,JPY,0.0061,0\n")
    (problem,) = delivery.check(as_of="2024-03").problems
    assert "JPY 2024-03" in problem


def test_rates_of_the_banks_own_currency_are_refused(delivery):
    delivery.put("account.csv", accounts("EUR", "JPY"))
    every = RATES + rates("JPY", "01", "02", "03") + rates("EUR", "01", "02", "03")
    delivery.put("fx_rate.csv", every)
    (problem,) = delivery.check(as_of="2024-03", currency="EUR").problems
    assert "rates of EUR, the bank's own currency" in problem
    (problem,) = delivery.check(as_of="2024-03").problems
    assert "Set CURRENCY=<code> to the bank's own" in problem


def test_a_curve_of_the_banks_own_currency_by_name_is_refused(delivery):
    """Accounts in it have the rows without a currency: those of its name would price nothing."""
    delivery.put("account.csv", accounts("EUR", "JPY"))
    delivery.put("fx_rate.csv", RATES + rates("JPY", "01", "02", "03"))
    own = delivery.folder.with_name("own")
    own.mkdir()
    curve = "currency,effective_from,tenor_months,annual_rate\n,1900-01-01,1,0.02\n"
    (own / "transfer_curve.csv").write_text(curve + "JPY,1900-01-01,1,0.01\n")
    given = {"as_of": "2024-03", "currency": "EUR", "reference_path": str(own)}
    assert delivery.check(**given).status == "ok"
    (own / "transfer_curve.csv").write_text(curve + "EUR,1900-01-01,1,0.03\n")
    (problem,) = delivery.check(**given).problems
    assert problem.startswith(
        "reference.transfer_curve, column currency: transfer_curve has rows of"
    )
    assert "Leave the currency of those rows empty" in problem


def test_accounts_without_a_code_are_in_the_banks_own_currency_beside_others(delivery):
    delivery.put("account.csv", accounts("", "JPY"))
    delivery.put("fx_rate.csv", RATES + rates("JPY", "01", "02", "03"))
    assert delivery.check(as_of="2024-03").status == "ok"


def test_a_bank_of_another_currency_than_the_one_delivered_is_refused(delivery):
    delivery.put("account.csv", accounts("EUR", "EUR"))
    assert delivery.check(currency="EUR").status == "ok"
    assert "(EUR 2)" in delivery.check(currency="CNY").problems[0]
    assert "three letters" in delivery.check(currency="euro").problems[0]


def test_a_currency_is_read_in_capitals_and_a_missing_one_is_the_banks_own(delivery):
    delivery.put("account.csv", accounts("eur ", ""))
    found = delivery.check()
    assert found.status == "ok", found.problems
    assert "1 of 2 accounts have no currency and count as EUR" in found.notes
    delivery.put("account.csv", accounts("", ""))
    assert delivery.check().status == "ok"


def test_an_account_opened_later_does_not_count_among_the_currencies(delivery):
    later = "A3,P1,2024-05-05,JPY\n"
    delivery.put("account.csv", accounts("EUR", "EUR") + later)
    assert delivery.check(as_of="2024-03").status == "ok"


def test_amounts_without_a_sign_stop_at_the_gate_with_the_kinds_named(delivery):
    rows = [
        f"B{month}{number},A1,2024-0{month}-{number + 10},{amount},{kind}"
        for month in (1, 2, 3)
        for number in range(1, 20)
        for amount, kind in (("20.00", "deposit"), ("5.00", "card_payment"))
    ]
    bookings = [f"{number}{row}" for number, row in enumerate(rows)]
    delivery.put("transaction.csv", "\n".join([BANK["transaction"].splitlines()[0], *bookings]))
    found = delivery.check(as_of="2024-03")
    assert found.status == "gate_failed"
    (problem,) = (one for one in found.problems if "sign" in one)
    assert "card_payment on accounts of deposits" in problem
    assert "57 of 57 bookings" in problem
    assert "docs/contract.md" in problem


def test_one_unknown_code_is_one_problem_however_many_rows_follow_it_into_quarantine(delivery):
    """A product of an unknown line sends its accounts to quarantine, and these their holders and
    bookings: G1 stops once, at the product."""
    delivery.put("product.csv", BANK["product"] + "P2,Mortgages\nP3,cards\n")
    delivery.put("account.csv", BANK["account"] + "A3,P2,2024-01-05\n")
    delivery.put("account_holder.csv", BANK["account_holder"] + "A3,C2,owner\n")
    delivery.put("transaction.csv", BANK["transaction"] + "T9,A3,2024-02-01,-5.00,withdrawal\n")
    found = delivery.check(as_of="2024-03")
    assert found.status == "gate_failed"
    (problem,) = found.problems
    assert "allowed_values: 1 row(s) in product.csv (first: row 2)" in problem
    assert "product_line `Mortgages` (1 row); allowed: `deposits`, `lending`, " in problem
    assert (
        "row(s) that refer to them follow: 1 of 3 of account, 1 of 3 of account_holder, "
        "1 of 5 of transaction"
    ) in problem
    (rule,) = (rule for rule in found.gate if not rule["success"])
    assert "product, other" in rule["seen"]
    (note,) = (note for note in found.notes if "break" in note)
    assert note.startswith("product: 1 row(s) of 3 break allowed_values (product_line: `Mortgages`")
    quarantined = {row["table"]: row["quarantined"] for row in found.tables}
    assert quarantined == {"customer": 0, **dict.fromkeys(set(BANK) - {"customer"}, 1)}


def test_a_check_is_in_the_language_of_the_settings_and_its_json_in_english(delivery):
    """Counts, gate, notes and problems; names of tables, columns and rules stay."""
    delivery.put("product.csv", BANK["product"] + "P2,Mortgages\nP3,cards\n")
    english = delivery.check(as_of="2024-03")
    found = delivery.check(as_of="2024-03", language="zh")
    assert found.as_json() == english.as_json()
    assert json.loads(found.as_json())["notes"] == english.notes
    lines = list(found.lines())
    assert lines[0] == "月份 2024-01至2024-03"
    assert lines[1].split() == ["表", "已提供", "已入库", "已隔离", "历史范围外"]
    words = [set(re.findall("[A-Za-z]+", "\n".join(one.lines()))) for one in (found, english)]
    assert words[0] < words[1]
    (note,) = (line for line in lines if "allowed_values" in line and "提示" in line)
    assert "product：3行中有1行违反 allowed_values" in note
    (problem,) = map(found.worded, found.problems)
    assert problem.startswith("G1 不通过：") and "；允许的值：" in note
    assert list(english.lines())[1].split() == [
        *("table", "delivered", "landed", "quarantined", "later")
    ]


def test_codes_of_a_mapping_that_rows_break_are_listed_with_the_lines_to_add(tmp_path):
    """Fewer than half of a column's rows: they land or go to quarantine, and the check names all
    codes by their rows."""
    unknown = {f"Q{number}": number for number in range(1, 9)}
    table = TableLanded(
        *("transaction", 1_000, 964, 36, 0, 0, {"allowed_values": 36}),
        unknown={"kind": unknown},
    )
    mapped = MappedFiles(tmp_path, tmp_path / "mapping.yml")
    (note,) = codes_to_add(mapped, [table])
    assert note.startswith("add each code to tables.transaction.columns.kind.codes in mapping.yml")
    assert note.splitlines()[1:] == [f'    "Q{number}": <value>' for number in range(8, 0, -1)]
    assert list(codes_to_add(DeliveredFiles(tmp_path), [table])) == []


def test_rows_that_follow_stop_the_gate_though_their_cause_is_within_its_tolerance(delivery):
    """One product in two thousand may be set aside; half the bank's accounts may not."""
    many = "".join(f"Q{number},cards\n" for number in range(2000))
    delivery.put("product.csv", BANK["product"] + many + "P2,depsits\n")
    delivery.put("account.csv", BANK["account"].replace("A2,P1", "A2,P2"))
    found = delivery.check(as_of="2024-02")
    (problem,) = (one for one in found.problems if "quarantined rows" in one)
    assert "`depsits` (1 row): did you mean `deposits`?" in problem
    assert "1 of 2 of account, 1 of 2 of account_holder" in problem
    assert not any("holder" in one.split(":")[1] for one in found.problems)


def serve(delivery: Delivery, as_of: str = "2024-03", identity: str = "", **rows: int) -> None:
    """Have the home serve a release that counted these rows; `identity` is another bank's."""
    settings = read_settings(home=delivery.home)
    release = settings.published / "releases" / f"{as_of}.duckdb"
    release.parent.mkdir(parents=True)
    with duckdb.connect(str(release)) as connection:
        connection.execute("create schema meta; create schema profile")
        connection.execute(f"create table meta.release as select 'r' release_id, '{as_of}' as_of")
        bank = identity or DeliveredFiles(delivery.folder).identity
        connection.execute(
            f"create table meta.bank as select '{bank}' identity, '2024-01' first_month"
        )
        connection.execute("create table profile.landing_table (table_name varchar, rows bigint)")
        for row in rows.items():
            connection.execute("insert into profile.landing_table values (?, ?)", list(row))
    point_at(settings, release)


def shrunk(found: Judgement) -> list[str]:
    return [problem for problem in found.problems if "shrank" in problem]


def test_half_the_customers_of_the_release_before_stop_the_gate_with_both_figures(delivery):
    serve(delivery, customer=4, account=2, transaction=4)
    before = delivery.contents()
    found = delivery.check()
    assert found.status == "gate_failed"
    (problem,) = found.problems
    assert "no required table shrank by more than 20%" in problem
    assert "customer (required_change -0.5): 2 row(s), 4 in the release before" in problem
    assert "JINGXI_HOME" in problem
    after = delivery.contents()
    assert {name: after[name] for name in after if "check.lock" not in name} == before


@pytest.mark.slow
def test_a_first_release_another_bank_and_an_earlier_month_are_not_compared(delivery):
    assert delivery.check().status == "ok"
    serve(delivery, customer=4)
    assert shrunk(delivery.check(as_of="2024-03"))
    assert delivery.check(as_of="2024-02").status == "ok"
    shutil.rmtree(delivery.home)
    serve(delivery, identity="files:/another/bank", customer=4)
    assert delivery.check().status == "ok"


@pytest.mark.slow
def test_a_shorter_history_that_is_asked_for_has_no_events_to_compare(delivery):
    serve(delivery, customer=2, transaction=9)
    assert shrunk(delivery.check())
    assert shrunk(delivery.check(first_month="2024-01"))
    head, _, *later = BANK["transaction"].splitlines(keepends=True)
    delivery.put("transaction.csv", "".join([head, *later]))
    assert not shrunk(delivery.check(first_month="2024-02"))


def corrupt(delivery: Delivery, how: str) -> None:
    if how == "no folder":
        shutil.rmtree(delivery.folder)
    elif how == "no file":
        for path in delivery.folder.iterdir():
            path.unlink()
    elif how == "a file for a folder":
        shutil.rmtree(delivery.folder)
        delivery.folder.write_bytes(b"customer_id\n")
    elif how == "no required table":
        (delivery.folder / "account.csv").unlink()
    elif how == "bytes of no meaning":
        for place, name in enumerate((*REQUIRED, "loan", "contact")):
            (delivery.folder / f"{name}.csv").unlink(missing_ok=True)
            kind = "parquet" if place % 2 else "csv"
            delivery.put(
                f"{name}.{kind}", bytes((place * 7 + n * n * 31) % 256 for n in range(4000))
            )
    elif how == "bytes of zero":
        for name in REQUIRED:
            delivery.put(f"{name}.csv", b"\0" * 100 + b"\n" + b"\0")
    elif how == "no dated booking":
        delivery.put("transaction.csv", BANK["transaction"].replace("2024-", "someday-"))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no folder", "does not exist"),
        ("no file", "a required table is missing"),
        ("a file for a folder", "is not a folder"),
        ("no required table", "account.csv"),
        ("bytes of no meaning", "customer"),
        ("bytes of zero", "customer.csv"),
        ("no dated booking", "booked_on"),
    ],
)
def test_unreadable_deliveries_are_refused_with_a_complete_answer(delivery, how, words):
    corrupt(delivery, how)
    found = delivery.check()
    assert found.status == "refused"
    assert any(words in problem for problem in found.problems)
    answer = json.loads(found.as_json())
    assert list(answer) == ["status", "problems", "notes", "tables", "control", "gate"]
    assert answer["tables"] == answer["control"] == answer["gate"] == []


def test_a_setting_that_is_wrong_is_refused_by_name(delivery):
    assert "AS_OF" in delivery.check(as_of="2024-13").problems[0]
    assert "SOURCE_PATH" in judgement({"home": str(delivery.home)}).problems[0]


def test_a_check_leaves_the_home_unchanged(delivery):
    delivery.home.mkdir()
    (delivery.home / "landing").mkdir()
    (delivery.home / "landing" / "landed.json").write_text("{}")
    before = delivery.contents()
    delivery.check()
    corrupt(delivery, "no required table")
    delivery.check()
    assert {
        name: content for name, content in delivery.contents().items() if "check.lock" not in name
    } == before
    assert list((delivery.home / "tmp").glob("check-*")) == []


def test_a_check_removes_the_folder_of_a_killed_check_and_keeps_that_of_a_running_one(tmp_path):
    killed = tmp_path / "tmp" / "check-killed"
    killed.mkdir(parents=True)
    (killed / "lock").touch()
    (killed / "data.parquet").touch()
    with own_place(tmp_path) as one, own_place(tmp_path) as other:
        assert one != other
        assert one.exists()
        assert not killed.exists()
        with (one / "lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not one.exists()


def test_a_refresh_keeps_the_folder_of_a_running_check(delivery):
    """A refresh empties only the folder of the process that holds the home's lock."""
    settings = read_settings(home=delivery.home)
    with own_place(delivery.home) as place:
        own = settings.model_copy(update={"home": place})
        with connect(own) as connection:
            connection.execute("create table landed as select range as n from range(1000)")
            connection.execute(f"copy landed to '{place}/landed.parquet' (format parquet)")
            with one_refresh_at_a_time(settings):
                (settings.scratch / "left").touch()
            assert not settings.scratch.exists()
            rows = f"select count(*) from '{place}/landed.parquet' join landed using (n)"
            assert connection.execute(rows).fetchall() == [(1000,)]
            assert own.scratch.is_dir()


def test_an_engine_that_fails_is_a_refusal_not_a_stack_trace(delivery):
    delivery.home.mkdir()
    (delivery.home / "tmp").write_text("a file where the folder should be")
    found = delivery.check()
    assert found.status == "refused"
    assert "tmp" in found.problems[0]


@pytest.mark.slow
def test_the_command_answers_in_json_on_standard_output_alone_and_by_its_status(delivery, command):
    result = command(delivery.home, "check", str(delivery.folder), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["status"] == "ok"
    delivery.put("transaction.csv", BANK["transaction"].replace(",A1,", ",nobody,"))
    result = command(delivery.home, "check", source_path=delivery.folder)
    assert result.returncode == delivery_check.EXIT["gate_failed"] == 1
    assert "control totals" in result.stdout
    assert "problem: G1" in result.stderr
    (delivery.folder / "account.csv").unlink()
    result = command(delivery.home, "check", "--json", source_path=delivery.folder)
    assert result.returncode == 2
    assert json.loads(result.stdout)["problems"]
    assert "Traceback" not in result.stderr
