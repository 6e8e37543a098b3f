"""The value layer once more, in plain Python: exact fractions, from the bank's rows and the seeds.

Written from the descriptions of the tables and seeds, not from their queries. Rates are rounded to
millionths and money to cents, half away from zero, once for each figure.
"""

from __future__ import annotations

import calendar
import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from orchestration.platform.environment import DBT_PROJECT
from tests.integration.bank import (
    ABROAD,
    FIRST,
    LAST,
    Bank,
    account_months,
    daily_balances,
    days_of,
    month_end,
    month_of,
)

Row = dict[str, Any]
Key = tuple[Any, ...]

CREDIT_LINES = ("lending", "cards")
ADDITIVE = (
    "average_balance",
    "closing_balance",
    "net_interest_margin",
    "fee_income",
    "direct_cost",
    "overhead",
    "expected_loss",
    "economic_capital",
    "capital_charge",
)
MEASURES = (*ADDITIVE, "contribution_margin", "economic_profit")
NOBODY = "(none)"
# Of a transfer price: the curve, and what comes on top.
PARTS = ("base", "liquidity_premium", "option_premium", "policy_rate")
# Measure: the delivered items that replace it, and those that add to it.
ITEMS = {
    "interest_income": (("accrued_interest_income",), ()),
    "interest_expense": (("accrued_interest_expense",), ()),
    "fee_income": ((), ("interchange", "commission", "asset_fee")),
    "direct_cost": ((), ("tax",)),
    "expected_loss": (("provision",), ("realised_loss",)),
}


def rounded(value: Fraction, places: int = 2) -> Decimal:
    """Half away from zero."""
    units = int(abs(value) * 10**places + Fraction(1, 2))
    return Decimal(units if value >= 0 else -units).scaleb(-places)


def months_later(day: date, months: int) -> date:
    """The same day some months later, or the last of a month that is too short."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


class Reference:
    """The project's seeds, those of a folder in their place."""

    def __init__(self, folder: Path | None = None) -> None:
        self.rows: dict[str, list[dict[str, str]]] = {}
        own = folder.glob("*.csv") if folder else ()
        for file in (*(DBT_PROJECT / "seeds" / "value").glob("*.csv"), *own):
            with file.open(newline="") as lines:
                self.rows[file.stem] = list(csv.DictReader(lines))
        self.rate = cache(self._rate)
        self.premium = cache(self._premium)
        self.portfolio_rate = cache(self._portfolio_rate)

    def in_force(self, seed: str, month: date, **key: str) -> list[dict[str, str]]:
        """Of the rows of a key, those with the latest date that is not after the month."""
        begun = [
            row
            for row in self.rows[seed]
            if date.fromisoformat(row["effective_from"]) <= month
            and all(row[name] == value for name, value in key.items())
        ]
        latest = max((row["effective_from"] for row in begun), default=None)
        return [row for row in begun if row["effective_from"] == latest]

    def of_product(self, seed: str, month: date, line: str, product: str) -> dict[str, str]:
        """The product's own row, or else its line's, or else that of all lines."""
        (row,) = (
            self.in_force(seed, month, product_line=line, product_id=product)
            or self.in_force(seed, month, product_line=line, product_id="*")
            or self.in_force(seed, month, product_line="*", product_id="*")
        )
        return row

    def curve_of(self, currency: str) -> str:
        """The currency of the rows that price an account: its own, or none."""
        return (
            currency if any(r["currency"] == currency for r in self.rows["transfer_curve"]) else ""
        )

    def _rate(self, currency: str, month: date, tenor: int) -> Fraction:
        """The curve at a tenor: straight lines between its points, level beyond them."""
        return _between(
            sorted(
                (int(row["tenor_months"]), Fraction(row["annual_rate"]))
                for row in self.in_force("transfer_curve", month, currency=currency)
            ),
            tenor,
        )

    def _premium(self, part: str, month: date, tenor: int, line: str, product: str) -> Fraction:
        """A part of the price on top of the curve: straight lines between its points; the liquidity
        premium keeps its last slope, if that rises, the others are level beyond the points."""
        rows = next(
            rows
            for key in ((line, product), (line, "*"), ("*", "*"))
            if (
                rows := self.in_force(
                    "transfer_premium", month, product_line=key[0], product_id=key[1]
                )
            )
        )
        points = sorted((int(row["tenor_months"]), Fraction(row[part])) for row in rows)
        (last, high) = points[-1]
        if tenor >= last and len(points) > 1 and part == "liquidity_premium":
            before, low = points[-2]
            rise = max(high - low, Fraction(0)) * (tenor - last) / (last - before)
            return high + Fraction(rounded(rise, 6))
        return _between(points, tenor)

    def _portfolio_rate(
        self, part: str, portfolio: str, currency: str, month: date, line: str, product: str
    ) -> Fraction:
        """The weighted mean over the tranches of the curve, or of a premium, in the months of their
        slices; a tranche's mean has ten places."""

        def rate(slice_month: date, tenor: int) -> Fraction:
            if part == "base":
                return self.rate(currency, slice_month, tenor)
            return self.premium(part, slice_month, tenor, line, product)

        total = Fraction(0)
        for row in self.in_force("replicating_portfolio", month, portfolio=portfolio):
            tenor = int(row["tenor_months"])
            slices = (rate(months_later(month, -back), tenor) for back in range(tenor))
            total += Fraction(row["weight"]) * Fraction(rounded(sum(slices) / Fraction(tenor), 10))
        return Fraction(rounded(total, 6))

    def behavioural(
        self, portfolio: str, currency: str, month: date, line: str, product: str
    ) -> dict[str, Fraction]:
        """The price of a balance without a term, by part."""
        if portfolio == NOBODY:
            return dict.fromkeys(PARTS, Fraction(0))
        return {
            part: self.portfolio_rate(part, portfolio, currency, month, line, product)
            for part in PARTS
        }


def _between(points: list[tuple[int, Fraction]], tenor: int) -> Fraction:
    """The rate at a tenor: straight lines between the points, level beyond them."""
    below = [point for point in points if point[0] <= tenor]
    above = [point for point in points if point[0] >= tenor]
    (left, low), (right, high) = (
        (below or above)[-1 if below else 0],
        (above or below)[0 if above else -1],
    )
    if left == right:
        return low
    return Fraction(rounded(low + (high - low) * (tenor - left) / (right - left), 6))


def average_life(fixed: int, left: int) -> int:
    """Months for which the average unit of money bears a rate that is fixed for the first of the
    equal instalments: each unit until it is repaid, or until the rate ends."""
    months = Fraction(sum(min(paid, fixed) for paid in range(1, left + 1)), left)
    return int(rounded(months, 0))


@dataclass(frozen=True)
class Fixing:
    """When the rate that holds in a month was fixed, for how many months, how many were left of the
    term then, and when that term began."""

    month: date
    months: int
    left: int
    term_began: date


def rate_fixing(opened: date, term: int, repricing: int, month: date) -> Fixing:
    """The fixing that holds as a month begins.

    Terms follow one another from the opening; in each the rate is fixed anew every `repricing`
    months, the last time for what is left of the term. In the month of the opening it is the first.
    """
    fixed = Fixing(month_of(opened), min(term, repricing), term, month_of(opened))
    start = 0
    while True:
        for offset in range(0, term, repricing):
            began = months_later(opened, start + offset)
            if began > month:
                return fixed
            left = term - offset
            fixed = Fixing(
                month_of(began),
                min(repricing, left),
                left,
                month_of(months_later(opened, start)),
            )
        start += term


@dataclass
class Accrual:
    """The interest of one account, month after month."""

    is_old: bool
    unsettled: Decimal | None = None
    was_booked: bool = False

    def month(self, accrued: Decimal | None, booked: Decimal) -> Decimal:
        """The month's result; `accrued` is None where nothing accrues."""
        if accrued is None:
            result = booked - (self.unsettled or Decimal(0))
            self.unsettled = None if self.unsettled is None else Decimal(0)
        else:
            result = accrued
            self.unsettled = (self.unsettled or Decimal(0)) + accrued - booked
            if self.is_old and booked and not self.was_booked:
                self.unsettled = max(self.unsettled, Decimal(0))
        self.was_booked |= bool(booked)
        return result


@dataclass
class Valuation:
    """What `value.account_month`, `value.credit_risk`, `value.overhead_pool` and `value.residual`
    must hold."""

    account_month: dict[tuple[str, date], Row]
    credit_risk: dict[tuple[str, date], Row]
    overhead_pool: dict[Key, tuple[int, Decimal]]
    residual: dict[Key, Decimal]


def loans_beside(
    bank: Bank, balances: Mapping[str, Mapping[date, Decimal]]
) -> dict[tuple[str, date], Decimal]:
    """By account and month: what is owed on loans and not in the balance, where it is anything.

    In a month with any status of a loan, the amounts of the statuses; else what was lent within its
    term less what was paid since, on accounts whose balance is not debt by nature.
    """
    line_of = bank.lines()
    loans: dict[str, list[Row]] = defaultdict(list)
    for row in bank.rows["loan"]:
        loans[row["account_id"]].append(row)
    status = {
        (row["loan_id"], row["month"]): row["outstanding"] for row in bank.rows["loan_status"]
    }
    delivered = {month for _, month in status}
    beside = {}
    for account, month in account_months(bank):
        is_credit = line_of[account] in CREDIT_LINES
        given = [loan for loan in loans[account] if loan["granted_on"] <= month_end(month)]
        if month in delivered:
            owed = sum((status.get((loan["loan_id"], month), 0) for loan in given), Decimal(0))
        else:
            running = [
                loan
                for loan in given
                if not is_credit and months_later(loan["granted_on"], loan["term_months"]) > month
            ]
            paid = [
                -row["amount"]
                for row in bank.rows["transaction"]
                if row["account_id"] == account
                and row["kind"] == "loan_repayment"
                and row["amount"] < 0
                and running
                and min(loan["granted_on"] for loan in running) <= row["booked_on"]
                and row["booked_on"] <= month_end(month)
            ]
            owed = sum((loan["principal"] for loan in running), Decimal(0)) - sum(paid)
        if is_credit:
            owed -= max(-(balances[account][month_end(month)] or Decimal(0)), Decimal(0))
        if owed > 0:
            beside[account, month] = owed
    return beside


def credit_risk(
    bank: Bank, reference: Reference, balances: Mapping[str, Mapping[date, Decimal]]
) -> dict[tuple[str, date], Row]:
    """Exposure, stage, provision and what is charged for losses, each month after the one before.

    In default, what would be lost stands as a provision, whose changes are charged; then what is
    given up, less what comes in on it. Debt left on a closed account is given up.
    """
    line_of = bank.lines()
    accounts = {row["account_id"]: row for row in bank.rows["account"]}
    loan_account = {row["loan_id"]: row["account_id"] for row in bank.rows["loan"]}
    status: dict[tuple[str, date], list[Row]] = defaultdict(list)
    for row in bank.rows["loan_status"]:
        status[loan_account[row["loan_id"]], row["month"]].append(row)
    beside = loans_beside(bank, balances)
    found: dict[tuple[str, date], Row] = {}
    before: dict[str, Row] = {}
    for (account_id, month), bookings in sorted(account_months(bank).items()):
        account, end = accounts[account_id], month_end(month)
        closed = account.get("closed_on")
        gone = closed is not None and closed <= end
        held = balances[account_id][end] or Decimal(0)
        owed = max(-bank.translated(account_id, held, month, "closing_rate"), Decimal(0))
        loans = beside.get((account_id, month), Decimal(0))
        risk = reference.of_product(
            "risk_parameter", month, line_of[account_id], account["product_id"]
        )
        loss = Fraction(risk["loss_given_default"])
        limit = account.get("credit_limit") or Decimal(0)
        undrawn = max(limit - owed, Decimal(0)) if not gone and account["opened_on"] <= end else 0
        exposure = loans + rounded(Fraction(undrawn) * Fraction(risk["credit_conversion_factor"]))
        exposure += Decimal(0) if gone else owed

        late = max((row["days_past_due"] for row in status[account_id, month]), default=0)
        (staging,) = reference.in_force("loss_staging", month)
        (band,) = [
            row
            for row in reference.in_force("risk_rating", month)
            if int(row["days_past_due_from"]) <= late
            and late <= int(row["days_past_due_to"] or late)
        ]
        in_default = (
            late >= int(staging["default_days"])
            or any(row["defaulted"] for row in status[account_id, month])
            or Fraction(band["pd_annual"]) == 1
        )
        scores = sorted(when for scored, when in bank.scored if scored == account_id)
        valid = [when for when in scores if when < month <= months_later(when, 12)]
        p_default, version, risen = Decimal(band["pd_annual"]), None, False
        if in_default:
            p_default = Decimal(1)
        elif valid:
            p_default, version = bank.scored[account_id, max(valid)]
            first, _ = bank.scored[account_id, scores[0]]
            risen = p_default >= Decimal(staging["stage_2_pd_ratio"]) * first
        stage: int | None = 1
        if in_default:
            stage = 3
        elif late >= int(staging["stage_2_days"]) or risen:
            stage = 2
        likely = Fraction(p_default)
        terms = [
            loan["term_months"]
            for loan in bank.rows["loan"]
            if loan["account_id"] == account_id and line_of[account_id] == "lending"
        ]
        term = account.get("term_months") or (terms[0] if len(terms) == 1 else None)
        if stage == 2 and staging["lifetime_loss"] == "true" and term:
            opened = account["opened_on"]
            elapsed = (month.year - opened.year) * 12 + month.month - opened.month
            years = -(-(term - elapsed % term) // 12)
            if years > 1:
                likely = Fraction(rounded(1 - (1 - likely) ** years, 6))

        last = before.get(account_id, {})
        at_default = rounded(Fraction(exposure) * loss)
        provision = at_default if in_default else Decimal(0)
        charge = rounded(Fraction(exposure) * Fraction(p_default) * loss / 12)
        given_up = bank.booked(
            account_id,
            month,
            [row for row in bookings if row["kind"] in ("write_off", "recovery")],
        )
        left = owed if gone else Decimal(0)
        given_up += left - last.get("left", Decimal(0))
        if last.get("in_default") and loans == 0:
            paid = sum(abs(row["amount"]) for row in bookings if row["kind"] == "loan_repayment")
            given_up += max(last["loans"] - paid, Decimal(0))
        change = provision - last.get("provision", Decimal(0))
        before[account_id] = {
            "provision": provision,
            "left": left,
            "loans": loans,
            "in_default": in_default,
            "charge": Decimal(0) if in_default else charge,
            "at_default": at_default,
        }
        found[account_id, month] = {
            "product_line": line_of[account_id],
            "exposure": exposure,
            "probability_of_default": p_default,
            "default_model_version": version,
            "stage": stage if exposure else None,
            "probability_of_loss": rounded(likely if exposure else Fraction(p_default), 6),
            "loss_allowance": rounded(Fraction(exposure) * likely * loss),
            "provision": provision,
            "provision_change": change,
            "realised_loss": given_up,
            "expected_loss": before[account_id]["charge"] + change + given_up,
            "is_in_default": in_default,
            "was_in_default": last.get("in_default", False),
            "expected_before": last.get("charge"),
            "at_risk_before": last.get("at_default"),
        }
    return found


def valued(bank: Bank, reference: Reference) -> Valuation:
    line_of = bank.lines()
    accounts = {row["account_id"]: row for row in bank.rows["account"]}
    balances = {account: daily_balances(bank, account, LAST) for account in accounts}
    loan_account = {row["loan_id"]: row["account_id"] for row in bank.rows["loan"]}
    several = Counter(row["account_id"] for row in bank.rows["loan"])
    loans = {row["account_id"]: row for row in bank.rows["loan"] if several[row["account_id"]] == 1}
    delivered_sums = {
        (row["account_id"], row["month"]): row.get("balance_day_sum")
        for row in bank.rows["account_balance"]
    }
    items: dict[tuple[str, date], dict[str, Decimal]] = defaultdict(dict)
    for row in bank.rows["account_result"]:
        items[row["account_id"], row["month"]][row["item"]] = bank.translated(
            row["account_id"], row["amount"], row["month"], "average_rate"
        )
    accruals: dict[str, Accrual] = {}
    closing_rates: dict[str, Fraction] = {}
    revalued: dict[Key, Decimal] = {}
    past_due: dict[tuple[str, date], int] = defaultdict(int)
    defaulted: set[tuple[str, date]] = set()
    for row in bank.rows["loan_status"]:
        key = loan_account[row["loan_id"]], row["month"]
        past_due[key] = max(past_due[key], row["days_past_due"])
        if row["defaulted"]:
            defaulted.add(key)

    risks = credit_risk(bank, reference, balances)
    atoms: dict[tuple[str, date], Row] = {}
    drivers: dict[date, list[Row]] = defaultdict(list)
    for (account_id, month), bookings in sorted(account_months(bank).items()):
        account, line = accounts[account_id], line_of[account_id]
        known = [balances[account_id][day] for day in days_of(month)]
        days = [day or Decimal(0) for day in known]
        is_known = known[-1] is not None
        day_sum = sum(days)
        below_zero = sum(min(day, Decimal(0)) for day in days)
        if (given := delivered_sums.get((account_id, month))) is not None and given != day_sum:
            day_sum, below_zero = given, min(given, Decimal(0))
        accruing = day_sum, below_zero
        average = bank.rate(account_id, month, "average_rate")
        day_sum, below_zero = (
            rounded(Fraction(amount) * average) for amount in (day_sum, below_zero)
        )
        closing = bank.translated(account_id, days[-1], month, "closing_rate")
        loan = loans.get(account_id, {}) if line == "lending" else {}
        opened, closed = account["opened_on"], account.get("closed_on")
        lived = opened <= month_end(month) and (closed is None or closed >= month)
        is_open = opened <= month_end(month) and (closed is None or closed > month_end(month))
        owed = max(-closing, Decimal(0))
        late = past_due[account_id, month]

        product = line, account["product_id"]
        rule = reference.of_product("transfer_rule", month, *product)
        below = below_zero if line not in CREDIT_LINES else Decimal(0)
        abroad = account_id == ABROAD and bank.rows["fx_rate"]
        currency = reference.curve_of(account["currency"]) if abroad else ""
        overdrawn = reference.behavioural(rule["overdrawn_portfolio"], currency, month, *product)
        curve: Row = {"curve_currency": currency or "*"} | dict.fromkeys(
            ("curve_month", "curve_tenor", "liquidity_month", "liquidity_tenor")
        )
        if (term := account.get("term_months") or loan.get("term_months")) and rule[
            "portfolio"
        ] != NOBODY:
            fixing = rate_fixing(
                opened, term, min(int(rule["repricing_months"] or term), term), month
            )
            tenor, bound = fixing.months, term
            if rule["tenor_basis"] == "average_life":
                tenor, bound = average_life(tenor, fixing.left), average_life(term, term)
            curve |= {
                "curve_month": fixing.month,
                "curve_tenor": tenor,
                "liquidity_month": fixing.term_began,
                "liquidity_tenor": bound,
            }
            price = {
                "base": reference.rate(currency, fixing.month, tenor),
                "liquidity_premium": reference.premium(
                    "liquidity_premium", fixing.term_began, bound, *product
                ),
                **{
                    part: reference.premium(part, fixing.month, tenor, *product)
                    for part in PARTS[2:]
                },
            }
        else:
            price = reference.behavioural(rule["portfolio"], currency, month, *product)

        def of_kind(*kinds: str, bookings: list[Row] = bookings) -> list[Row]:
            return [row for row in bookings if row["kind"] in kinds]

        cost = Fraction(0)
        for row in bookings:
            channel = row.get("channel") or NOBODY
            (unit,) = reference.in_force(
                "activity_unit_cost", month, channel=channel, kind=row["kind"]
            ) or reference.in_force("activity_unit_cost", month, channel=channel, kind="*")
            cost += Fraction(unit["unit_cost"])
        if lived:
            kept = reference.of_product("account_maintenance_cost", month, *product)
            cost += Fraction(kept["monthly_cost"])

        risk = reference.of_product("risk_parameter", month, *product)
        credit = risks[account_id, month]
        (hurdle,) = reference.in_force("hurdle_rate", month)
        capital = Fraction(credit["exposure"]) * Fraction(risk["capital_weight"])
        by_capital = Fraction(0)
        if rule["is_capital_funded"] == "true":
            by_capital = min(Fraction(rounded(capital)) * len(days), Fraction(-below_zero))
        on_credit = line in CREDIT_LINES
        above_funded = Fraction(day_sum - below) + (by_capital if on_credit else 0)
        below_funded = Fraction(below) + (0 if on_credit else by_capital)

        def transferred(
            *parts: str,
            price: Mapping[str, Fraction] = price,
            overdrawn: Mapping[str, Fraction] = overdrawn,
            above_funded: Fraction = above_funded,
            below_funded: Fraction = below_funded,
        ) -> Decimal:
            above = sum((price[part] for part in parts), Fraction(0))
            under = sum((overdrawn[part] for part in parts), Fraction(0))
            return rounded((above_funded * above + below_funded * under) / 365)

        interest = {
            "interest_income": -bank.booked(account_id, month, of_kind("interest_charged")),
            "interest_expense": bank.booked(account_id, month, of_kind("interest_paid")),
        }
        side = "interest_income" if on_credit else "interest_expense"
        settling = sum(
            sign * row["amount"]
            for sign, kind in ((-1, "interest_charged"), (1, "interest_paid"))
            for row in of_kind(kind)
            if on_credit == (kind == "interest_charged")
        )
        terms = reference.of_product("interest_rule", month, *product)
        rate = account.get("interest_rate") or loan.get("interest_rate")
        accrued = None
        if (
            terms["is_accrued"] == "true"
            and rate is not None
            and is_open
            and late < 90
            and (account_id, month) not in defaulted
            and is_known
        ):
            whole, below_only = accruing
            size = -below_only if on_credit else whole - below_only
            accrued = rounded(Fraction(size) * Fraction(rate) / int(terms["day_count"]))
        accrual = accruals.setdefault(account_id, Accrual(opened < FIRST))
        stock_before, old_rate = accrual.unsettled or Decimal(0), closing_rates.get(account_id, 1)
        earned = accrual.month(accrued, settling)
        accrual_of_month = (
            interest[side] if accrual.unsettled is None else rounded(Fraction(earned) * average)
        )
        closing_rates[account_id] = bank.rate(account_id, month, "closing_rate")
        stock = accrual.unsettled and rounded(
            Fraction(accrual.unsettled) * closing_rates[account_id]
        )
        if abroad:
            # Neither a balance nor interest of it is from before the history, or delivered.
            brought = balances[account_id].get(month - timedelta(days=1)) or Decimal(0)
            balance_gain = (
                closing
                - rounded(Fraction(brought) * old_rate)
                - bank.booked(account_id, month, bookings)
            )
            accrued_gain = Decimal(0)
            if accrual.unsettled is not None:
                accrued_gain = (
                    (stock or Decimal(0))
                    - rounded(Fraction(stock_before) * old_rate)
                    - accrual_of_month
                    + interest[side]
                )
            cell = month, "revaluation", account.get("branch_id") or NOBODY, line
            revalued[cell] = -balance_gain + (1 if on_credit else -1) * accrued_gain
        own = items[account_id, month]

        def result(measure: str, without: Decimal, own: Mapping[str, Decimal] = own) -> Decimal:
            replacing, adding = ITEMS[measure]
            replaced = [own[item] for item in replacing if item in own]
            return (sum(replaced, Decimal(0)) if replaced else without) + sum(
                (own.get(item, Decimal(0)) for item in adding), Decimal(0)
            )

        settled = {**interest, side: accrual_of_month}
        replaced = any(
            item in own for item in (*ITEMS["interest_income"][0], *ITEMS["interest_expense"][0])
        )
        atom: Row = {
            "account_id": account_id,
            "month": month,
            "product_id": account["product_id"],
            "product_line": line,
            "branch_id": account.get("branch_id"),
            "average_balance": rounded(Fraction(day_sum) / len(days)) if is_known else None,
            "closing_balance": closing if is_known else None,
            "transfer_price": rounded(sum(price.values(), Fraction(0)), 6),
            **curve,
            "overdrawn_price": (
                rounded(sum(overdrawn.values(), Fraction(0)), 6) if below else None
            ),
            "interest_income": result("interest_income", settled["interest_income"]),
            "interest_expense": result("interest_expense", settled["interest_expense"]),
            "interest_income_booked": interest["interest_income"],
            "interest_expense_booked": interest["interest_expense"],
            "accrued_interest": None if replaced else stock,
            "transfer_result": transferred(*PARTS),
            "transfer_liquidity": transferred("liquidity_premium"),
            "transfer_option": transferred("option_premium"),
            "transfer_policy": transferred("policy_rate"),
            "funded_by_capital": rounded(by_capital / len(days)),
            "fee_income": result(
                "fee_income", -bank.booked(account_id, month, of_kind("fee", "penalty"))
            ),
            "direct_cost": result("direct_cost", rounded(cost)),
            "overhead": Decimal(0),
            **{
                name: credit[name]
                for name in (
                    *("exposure", "probability_of_default", "default_model_version", "stage"),
                    *("loss_allowance", "provision", "provision_change", "realised_loss"),
                )
            },
            "expected_loss": result("expected_loss", credit["expected_loss"]),
            "economic_capital": rounded(capital),
            "capital_charge": rounded(capital * Fraction(hurdle["annual_rate"]) / 12),
        }
        atom["net_interest_margin"] = (
            atom["interest_income"] - atom["interest_expense"] + atom["transfer_result"]
        )
        atoms[account_id, month] = atom
        drivers[month].append(
            {
                "account_id": account_id,
                "product_line": line,
                "branch_id": account.get("branch_id") or NOBODY,
                "open_account": int(lived),
                "opened_account": int(month_of(opened) == month),
                "booking": len(bookings),
                "branch_booking": sum(row.get("channel") == "branch" for row in bookings),
                "average_balance": int(abs(atom["average_balance"] or 0) * 100),
                "amount_owed": int(owed * 100),
                "past_due_account": int(late > 0),
            }
        )

    pools, residual = _overhead(reference, drivers, atoms)
    for atom in atoms.values():
        atom.update(derived(atom))
        parts = {name: atom[f"transfer_{name}"] for name in ("liquidity", "option", "policy")}
        parts["rate"] = atom["transfer_result"] - sum(parts.values())
        for name, amount in parts.items():
            key = (
                *(atom["month"], f"treasury: {name}"),
                *(atom["branch_id"] or NOBODY, atom["product_line"]),
            )
            residual[key] = residual.get(key, Decimal(0)) - amount
        beyond = (
            atom["interest_income_booked"]
            - atom["interest_income"]
            - atom["interest_expense_booked"]
            + atom["interest_expense"]
        )
        key = (
            atom["month"],
            "interest not booked",
            atom["branch_id"] or NOBODY,
            atom["product_line"],
        )
        if (
            atom["interest_income_booked"] != atom["interest_income"]
            or atom["interest_expense_booked"] != atom["interest_expense"]
        ):
            residual[key] = residual.get(key, Decimal(0)) + beyond
    for key in [key for key, amount in residual.items() if not amount]:
        if key[1] in ("treasury: liquidity", "treasury: option", "treasury: policy"):
            del residual[key]
    residual |= revalued
    residual |= _unused(bank, atoms, items, residual)
    for row in bank.rows["adjustment"]:
        key = row["month"], f"adjustment: {row['item']}", row["branch_id"], row["product_line"]
        residual[key] = residual.get(key, Decimal(0)) + row["amount"]
    return Valuation(atoms, risks, pools, residual)


def _unused(
    bank: Bank,
    atoms: Mapping[tuple[str, date], Row],
    items: Mapping[tuple[str, date], Mapping[str, Decimal]],
    residual: Mapping[Key, Decimal],
) -> dict[Key, Decimal]:
    """The ledger's operating cost less what accounts bear, what no account drives and what is
    adjusted; in the months that have it."""
    left: dict[Key, Decimal] = defaultdict(Decimal)
    cost = [row for row in bank.rows["ledger"] if row["ledger_account"] == "operating_cost"]
    months = {row["month"] for row in cost}
    adjusted = [row for row in bank.rows["adjustment"] if row["item"] == "operating_cost"]
    for sign, rows in ((1, cost), (-1, adjusted)):
        for row in rows:
            left[row["month"], row["branch_id"], row["product_line"]] += sign * row["amount"]
    for key, atom in atoms.items():
        own = items[key]
        taxes = sum((own.get(item, Decimal(0)) for item in ITEMS["direct_cost"][1]), Decimal(0))
        cell = atom["month"], atom["branch_id"] or NOBODY, atom["product_line"]
        left[cell] -= atom["direct_cost"] - taxes + atom["overhead"]
    for (month, name, branch, line), amount in residual.items():
        if name.startswith("unallocated overhead"):
            left[month, branch, line] -= amount
    return {
        (month, "unused capacity", branch, line): amount
        for (month, branch, line), amount in left.items()
        if month in months
    }


def _overhead(
    reference: Reference,
    drivers: Mapping[date, list[Row]],
    atoms: Mapping[tuple[str, date], Row],
) -> tuple[dict[Key, tuple[int, Decimal]], dict[Key, Decimal]]:
    """Give the accounts their shares of the pools; the pools, and what no account drives."""
    pools: dict[Key, tuple[int, Decimal]] = {}
    residual: dict[Key, Decimal] = {}
    names = ("pool", "product_line", "branch_id")
    for pool, line, branch in {
        tuple(row[name] for name in names) for row in reference.rows["overhead_pool"]
    }:
        for month, accounts in drivers.items():
            key = dict(zip(names, (pool, line, branch), strict=True))
            for row in reference.in_force("overhead_pool", month, **key):
                bearing = [
                    account
                    for account in accounts
                    if line in ("*", account["product_line"])
                    and branch in ("*", account["branch_id"])
                ]
                amount = Decimal(row["monthly_amount"]) + rounded(
                    Fraction(row["amount_per_open_account"])
                    * sum(account["open_account"] for account in bearing)
                )
                units = {account["account_id"]: account[row["driver"]] for account in bearing}
                pools[pool, line, branch, month] = sum(units.values()), amount
                shares = largest_remainder(amount, units)
                for account_id, share in shares.items():
                    atoms[account_id, month]["overhead"] += share
                where = month, f"unallocated overhead: {pool}"
                scope = tuple(NOBODY if name == "*" else name for name in (branch, line))
                residual[*where, *scope] = amount - sum(shares.values())
    return pools, residual


def largest_remainder(amount: Decimal, units: Mapping[str, int]) -> dict[str, Decimal]:
    """An amount by units: cents left over go to the largest remainders, of equal ones by key."""
    total, cents = sum(units.values()), int(amount * 100)
    if not total:
        return {}
    shares, remainders = {}, {}
    for key in sorted(units):
        shares[key], remainders[key] = divmod(cents * units[key], total)
    first = sorted(remainders, key=lambda key: -remainders[key])
    for key in first[: cents - sum(shares.values())]:
        shares[key] += 1
    return {key: Decimal(share) / 100 for key, share in shares.items()}


def derived(sums: Mapping[str, Any]) -> Row:
    contribution = (
        sums["net_interest_margin"]
        + sums["fee_income"]
        - sums["direct_cost"]
        - sums["expected_loss"]
    )
    result = contribution - sums["overhead"]
    capital = sums["economic_capital"]
    return {
        "contribution_margin": contribution,
        "economic_profit": result - sums["capital_charge"],
        "raroc": rounded(12 * Fraction(result) / Fraction(capital), 6) if capital > 0 else None,
    }


def summed(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Any, Row]:
    """A balance that is not known is left out; without a known one the sum is not known."""
    sums: dict[Any, Row] = defaultdict(lambda: dict.fromkeys(ADDITIVE))
    for row in rows:
        of_key = sums[key(row)]
        for measure in ADDITIVE:
            if row[measure] is not None:
                of_key[measure] = (of_key[measure] or Decimal(0)) + row[measure]
    return {name: {**values, **derived(values)} for name, values in sums.items()}


def equal_shares(amount: Decimal | None, holders: int) -> list[Decimal | None]:
    """Cents that do not divide go one each to the first holders."""
    if amount is None:
        return [None] * holders
    share, over = divmod(abs(int(amount * 100)), holders)
    side = -1 if amount < 0 else 1
    return [Decimal(side * (share + (place < over))) / 100 for place in range(holders)]


def beneficiaries(bank: Bank) -> dict[str, list[str]]:
    held = defaultdict(list)
    for row in bank.rows["account_holder"]:
        if row["role"] in ("owner", "joint"):
            held[row["account_id"]].append(row["customer_id"])
    return {account: sorted(customers) for account, customers in held.items()}


def held_shares(bank: Bank, atoms: Iterable[Row], measures: Iterable[str]) -> list[Row]:
    """The account months once more for each holder who owns a part of the account."""
    holders, shares = beneficiaries(bank), []
    for atom in atoms:
        customers = holders.get(atom["account_id"], [NOBODY])
        parts = [{**atom, "customer_id": customer} for customer in customers]
        for measure in measures:
            split = equal_shares(atom[measure], len(customers))
            for part, amount in zip(parts, split, strict=True):
                part[measure] = amount
        shares += parts
    return shares


def credited_shares(bank: Bank, atoms: Iterable[Row]) -> list[Row]:
    """The account months once more for each employee credited: owners on the month's last day, or
    the account's; without any, the managers of those who own parts."""
    manager = customer_attribute(bank, "employee_id")
    closed = {row["account_id"]: row.get("closed_on") for row in bank.rows["account"]}
    owners = defaultdict(list)
    for row in bank.rows["account_owner"]:
        owners[row["account_id"]].append(row)
    credited = []
    for atom in atoms:
        month = atom["month"]
        day = min(month_end(month), closed[atom["account_id"]] or month_end(month))
        units: Counter[str] = Counter()
        for row in owners[atom["account_id"]]:
            if row["valid_from"] <= day <= (row["valid_to"] or day):
                units[row["employee_id"]] += int(row["share"] * 10**6)
        if not units:
            credited += [
                {**part, "employee_id": manager(part["customer_id"], month)}
                for part in held_shares(bank, [atom], ADDITIVE)
            ]
            continue
        if rest := 10**6 - sum(units.values()):
            units[NOBODY] = rest
        parts = {employee: {**atom, "employee_id": employee} for employee in units}
        for measure in ADDITIVE:
            amount = atom[measure]
            if amount is not None:
                side = -1 if amount < 0 else 1
                for employee, share in largest_remainder(abs(amount), units).items():
                    parts[employee][measure] = side * share
        credited += parts.values()
    return credited


def customer_attribute(bank: Bank, name: str) -> Callable[[str, date], str]:
    """An attribute as of the latest extract at the end of the month."""
    by_extract: dict[str, list[tuple[date, Any]]] = defaultdict(list)
    for row in bank.rows["customer"]:
        by_extract[row["customer_id"]].append((row["extract_month"], row.get(name)))

    def at(customer: str, month: date) -> str:
        if customer == NOBODY:
            return NOBODY
        known = [value for extract, value in by_extract[customer] if extract <= month_end(month)]
        return (known[-1] if known else by_extract[customer][0][1]) or NOBODY

    return at


def sales(
    bank: Bank, seller: Callable[[Row], str | None] = itemgetter("employee_id"), days: int = 60
) -> dict[str, tuple[date, str]]:
    """By account: the month in which it was sold first, and by whom: no later sale changes it."""
    answered = defaultdict(list)
    for contact in bank.rows["contact"]:
        responses = sorted(
            (row["responded_on"], row["account_id"] or "")
            for row in bank.rows["response"]
            if row["campaign_id"] == contact["campaign_id"]
            and row["customer_id"] == contact["customer_id"]
            and timedelta(0) <= row["responded_on"] - contact["contacted_on"] <= timedelta(days)
        )
        if responses and responses[0][1] and seller(contact):
            day, account = responses[0]
            answered[account].append((day, contact["contact_id"], seller(contact)))
    return {
        account: (month_of(min(contacts)[0]), min(contacts)[2])
        for account, contacts in answered.items()
    }


def by_channel(
    bank: Bank, reference: Reference, atoms: Iterable[Row]
) -> dict[tuple[str, date], Row]:
    """Bookings by their channel, what is left of the account months by that of the sale; the costs
    of a month's channels in cents by largest remainder."""
    channel_of = {row["campaign_id"]: row.get("channel") for row in bank.rows["campaign"]}
    sold = sales(bank, lambda contact: channel_of[contact["campaign_id"]])
    parts: list[Row] = []
    left = {(atom["account_id"], atom["month"]): dict(atom) for atom in atoms}
    for (account, month), bookings in account_months(bank).items():
        alike: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in bookings:
            alike[row.get("channel") or NOBODY, row["kind"]].append(row)
        for (channel, kind), of_kind in alike.items():
            (unit,) = reference.in_force(
                "activity_unit_cost", month, channel=channel, kind=kind
            ) or reference.in_force("activity_unit_cost", month, channel=channel, kind="*")
            own = {
                "fee_income": -bank.booked(account, month, of_kind)
                if kind in ("fee", "penalty")
                else Decimal(0),
                "direct_cost": len(of_kind) * Decimal(unit["unit_cost"]),
            }
            parts.append({**dict.fromkeys(ADDITIVE, Decimal(0)), **own})
            parts[-1].update(channel=channel, month=month)
            for measure, amount in own.items():
                left[account, month][measure] -= amount
    for (account, month), atom in left.items():
        since, channel = sold.get(account, (LAST, NOBODY))
        parts.append({**atom, "channel": channel if month >= since else NOBODY})
    rows = summed(parts, itemgetter("channel", "month"))
    for month in {month for _, month in rows}:
        units = {
            channel: divmod(int(row["direct_cost"] * 10**4), 100)
            for (channel, when), row in rows.items()
            if when == month
        }
        over = sum(rest for _, rest in units.values()) // 100
        first = sorted(units, key=lambda channel: (-units[channel][1], channel))[:over]
        for channel, (cents, _) in units.items():
            row = rows[channel, month]
            row["direct_cost"] = Decimal(cents + (channel in first)) / 100
            row.update(derived(row))
    return rows


def tiers(
    customer_profit: Mapping[tuple[str, date], Row],
    reference: Reference,
    months: Iterable[date],
    unpriced: set[tuple[str, date]],
) -> dict[tuple[str, date], tuple[str, int | None, Decimal, Decimal, int | None, int | None]]:
    """Tier, its number, contribution and profit of the year, percentile and decile; no rank where
    an account of the customer was not priced in a month of the year."""
    placed = {}
    for month in months:
        year = {months_later(month, -back) for back in range(12)}
        contribution: dict[str, Decimal] = {}
        profit: dict[str, Decimal] = {}
        for (customer, when), row in customer_profit.items():
            if when in year and (customer, month) in customer_profit and customer != NOBODY:
                contribution[customer] = (
                    contribution.get(customer, Decimal(0)) + row["contribution_margin"]
                )
                profit[customer] = profit.get(customer, Decimal(0)) + row["economic_profit"]
        dark = {customer for customer in profit for when in year if (customer, when) in unpriced}
        for customer in dark:
            earned = contribution.pop(customer), profit.pop(customer)
            placed[customer, month] = ("(not priced)", None, *earned, None, None)
        scheme = sorted(
            (int(row["tier_number"]), row["tier"], row["customer_share"])
            for row in reference.in_force("tier_scheme", month)
        )
        (rest,) = [(number, tier) for number, tier, share in scheme if not share]
        tier_of = {customer: rest for customer in contribution}
        best = sorted(
            (customer for customer in contribution if contribution[customer] > 0),
            key=lambda customer: (-contribution[customer], customer),
        )
        begun, upto = 0, Fraction(0)
        for number, tier, share in scheme:
            if share:
                upto += Fraction(share)
                ends = int(upto * len(best))
                for customer in best[begun:ends]:
                    tier_of[customer] = number, tier
                begun = ends
        ranked = sorted(profit, key=lambda customer: (-profit[customer], customer))
        for place, customer in enumerate(ranked, start=1):
            number, tier = tier_of[customer]
            placed[customer, month] = (
                tier,
                number,
                contribution[customer],
                profit[customer],
                -(-place * 100 // len(ranked)),
                -(-place * 10 // len(ranked)),
            )
    return placed


def movements(
    bank: Bank, atoms: Iterable[Row], before: set[date], now: set[date]
) -> list[tuple[Row, tuple[Decimal, ...]]]:
    """Each holder's part of each account: volume, rate, fee, cost and risk effect on its profit.

    The volume effect is the change of the balances at the yield of the quarter with the larger
    balance, or all of the margin's change where the balance changed sides; the rate effect is left.
    """
    parts: dict[tuple[str, str], Row] = {}
    sums: dict[tuple[str, str, bool], dict[str, Decimal]] = defaultdict(
        lambda: defaultdict(Decimal)
    )
    chosen = [atom for atom in atoms if atom["month"] in before | now]
    for part in held_shares(bank, chosen, ADDITIVE):
        key = part["account_id"], part["customer_id"]
        parts[key] = part
        for measure in ADDITIVE:
            sums[*key, part["month"] in now][measure] += part[measure] or Decimal(0)
    moved = []
    for key, part in parts.items():
        old, new = sums[*key, False], sums[*key, True]
        change = {measure: new[measure] - old[measure] for measure in ADDITIVE}
        volumes = old["average_balance"], new["average_balance"]
        larger = old if abs(volumes[0]) >= abs(volumes[1]) else new
        if volumes[0] * volumes[1] < 0:
            volume = change["net_interest_margin"]
        elif larger["average_balance"] == 0:
            volume = Decimal(0)
        else:
            volume = rounded(
                Fraction(change["average_balance"])
                * Fraction(larger["net_interest_margin"])
                / Fraction(larger["average_balance"])
            )
        effects = (
            volume,
            change["net_interest_margin"] - volume,
            change["fee_income"],
            -change["direct_cost"] - change["overhead"],
            -change["expected_loss"] - change["capital_charge"],
        )
        moved.append((part, effects))
    return moved
