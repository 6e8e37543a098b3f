"""One account-month, measure by measure: the parts of each amount, down to the bookings.

`components/*.sql` read the parts of a measure from the release: what they are, and the exact share
of each in the amount as a numerator and a denominator. A numerator is text, since a union of
decimals of different scales drops places; a product begins with a wide decimal, since the engine
keeps 18 digits of narrower ones. Their sum, rounded as the rule rounds it, is compared with the
amount that the release holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from pathlib import Path

from duckdb import DuckDBPyConnection

from orchestration.decisions.roles import COMPLIANCE, MANAGER, withheld_from
from orchestration.platform import audit
from orchestration.platform.engine import connect
from orchestration.platform.identity import AUDITOR, EXPLAIN
from orchestration.platform.optional_tables import has_column, has_table
from orchestration.platform.releases import ReleaseRefused, managers_of_account, served
from orchestration.platform.settings import MONTH, Settings
from orchestration.valuation.bookings import Records, records_behind
from orchestration.valuation.queries import Row, rows
from sources import vocabulary

FOLDER = Path(__file__).parent / "components"
CENTS, MILLIONTHS = 2, 6
BALANCE_NOT_KNOWN = (
    "The balance of this account is not known in this month: no transfer price, exposure or "
    "capital follows from it."
)
TRANSFERS = ("transfer_result", "transfer_liquidity", "transfer_option", "transfer_policy")
# Measures that follow from the balance: without it the 0 of the release is no amount. A provision
# does of an account in default; of another its 0 is one.
OF_BALANCE = frozenset(
    (
        *("average_balance", "accrued_interest", "funded_by_capital", "exposure"),
        *("expected_loss", "loss_allowance", "economic_capital", "capital_charge", "raroc"),
    )
)
OF_DEFAULT = frozenset(("provision", "provision_change"))
# Sums of what is known and of what is not.
OF_PARTS = frozenset(
    ("net_interest_margin", "contribution_margin", "economic_profit", "credited_profit")
)
BALANCES = ("opening_balance", "closing_balance", "balance_day_sum")


@dataclass(frozen=True)
class Measure:
    """A figure of `value.account_month`, or of what follows from it: how it is computed, and how
    many places it has."""

    name: str
    formula: str
    places: int = CENTS


# In the order in which they follow from each other.
MEASURES = (
    Measure("average_balance", "day sum of the balance / days of the month"),
    Measure(
        "mean_rate",
        "mean of the curve's rates in the months in which the slices were renewed",
        10,
    ),
    Measure(
        "transfer_price",
        "a term's: the curve between two points, rate_below + (rate_above - rate_below) x "
        "(tenor - tenor_below) / (tenor_above - tenor_below); without a term: sum of the tranches' "
        "weight x mean rate; + liquidity premium + option premium + policy rate",
        MILLIONTHS,
    ),
    Measure("overdrawn_price", "sum of the tranches' weight x mean rate, by part", MILLIONTHS),
    Measure("interest_income", "interest_rate x day sum / day_count where it accrues, or booked"),
    Measure("interest_expense", "interest_rate x day sum / day_count where it accrues, or booked"),
    Measure("interest_income_booked", "bookings of kind interest_charged"),
    Measure("interest_expense_booked", "bookings of kind interest_paid"),
    Measure("accrued_interest", "of the month before + accrued - booked"),
    Measure("funded_by_capital", "economic capital, at most what is owed; no transfer price"),
    Measure(
        "transfer_result",
        "day sum x price / 365, each side of zero at its own price, less what capital funds",
    ),
    Measure("transfer_liquidity", "the part of it from liquidity premiums"),
    Measure("transfer_option", "the part of it from option premiums"),
    Measure("transfer_policy", "the part of it from policy rates"),
    Measure("net_interest_margin", "interest income - interest expense + transfer result"),
    Measure("fee_income", "bookings of kind fee and penalty, income positive"),
    Measure("direct_cost", "bookings x unit cost + account maintenance"),
    Measure("overhead", "each pool's amount x the account's units / all units"),
    Measure("exposure", "owed + loans beside the balance + conversion factor x undrawn limit"),
    Measure("provision", "in default: exposure x loss given default"),
    Measure("provision_change", "provision - provision of the month before"),
    Measure("realised_loss", "owed at the closing + written off - recovered"),
    Measure(
        "expected_loss",
        "exposure x probability of default x loss given default / 12 where not in default + change "
        "of the provision + realised loss",
    ),
    Measure("loss_allowance", "exposure x probability of loss x loss given default; not charged"),
    Measure(
        "contribution_margin", "net interest margin + fee income - direct cost - expected loss"
    ),
    Measure("economic_capital", "exposure x capital weight"),
    Measure("capital_charge", "exposure x capital weight x hurdle rate / 12"),
    Measure("economic_profit", "contribution margin - overhead - capital charge"),
    Measure("raroc", "12 x (contribution margin - overhead) / economic capital", MILLIONTHS),
    Measure(
        "credited_share",
        "shares of the owners at the end of the month; without an owner, 1 / customers for the "
        "manager of each",
        MILLIONTHS,
    ),
    Measure(
        "credited_profit",
        "net interest margin + fee income - direct cost - expected loss - overhead - capital "
        "charge, of each the share; remaining cents to the largest remainders",
    ),
)
COMPONENTS = (
    *("average_balance", "tranche", "transfer_price", "interest", "transfer_result", "fee_income"),
    *("direct_cost", "overhead", "exposure", "expected_loss", "capital", "result", "credit"),
)
# What a delivered item does to a measure: replaces it, or adds to it.
EFFECTS = {(item.result_item, item.measure): item.effect for item in vocabulary.RESULT_ITEMS}
INNER = frozenset(("measure", "scope", "published", "step", "place", "numerator", "denominator"))


class AccountUnknown(ValueError):
    """The release does not have the account or the month, or the role may not read it."""


def explain(
    settings: Settings, account_id: str, month: str | None = None, role: str = MANAGER
) -> Row:
    """The explanation of an account-month of the served release; the audit trail has the request.

    Raises
    ------
    AccountUnknown
        When the release does not have the account-month, or its owner was erased.
    orchestration.decisions.roles.RoleUnknown
        For an unknown role.
    ReleaseRefused
        When nothing is published yet, or the release was published without the parts.
    orchestration.platform.identity.ActRefused
        Without the role; for a manager, when no holder is in the manager's own book.
    """
    subject = audit.account(settings, account_id)
    only = (AUDITOR,) if role == COMPLIANCE else None
    with audit.audited(
        *(settings, EXPLAIN, subject), detail=f"as {role}", allowed=only, personal=True
    ) as doing:
        path = served(settings)
        if path is None:
            raise ReleaseRefused("no release is published. Run make refresh.")
        doing.release_id = path.stem
        with connect(settings, path, read_only=True) as connection:
            doing.require_own(lambda: managers_of_account(connection, account_id))
            return _explanation(connection, settings, account_id, month, role)


def _explanation(
    connection: DuckDBPyConnection,
    settings: Settings,
    account_id: str,
    month: str | None,
    role: str,
) -> Row:
    withheld_from(role)
    if not has_column(connection, "value.transfer_curve", "currency"):
        raise ReleaseRefused(
            "the served release is invalid: expected the column currency of value.transfer_curve, "
            "which releases of earlier versions do not have. Run make refresh."
        )
    (release,) = _rows(connection, "asked", {"account": account_id})
    asked = _month(account_id, month or release["as_of"], release)
    _refuse_erased(connection, account_id, role)
    account, measures = account_month(connection, account_id, asked)
    if not account["is_balance_known"]:
        measures = without_balance(measures, is_in_default=account["is_in_default"])
    records = records_behind(connection, settings, account_id, asked)
    measures += _checked_records(connection, account_id, asked, records)
    return {
        "release": release["release_id"],
        "role": role,
        "account": account,
        "balances": BALANCES,
        "balance_note": None if account["is_balance_known"] else BALANCE_NOT_KNOWN,
        "measures": measures,
        "records": records.rows,
        "records_note": records.note,
        "differences": sum(bool(measure["difference"]) for measure in measures),
    }


def without_balance(measures: list[Row], *, is_in_default: bool) -> list[Row]:
    """The measures of an account-month without a known balance: an amount that is 0 because the
    balance is not known is None, without parts; a sum with such a part `is_incomplete`."""
    prices = [row["published"] for row in measures if row["measure"].endswith("_price")]
    # Money that is not on the bank's books has no price: its result is 0 whatever the balance.
    unknown = OF_BALANCE | (frozenset(TRANSFERS) if any(prices) else frozenset())
    unknown |= OF_DEFAULT if is_in_default else frozenset()
    sums = OF_PARTS if any(prices) else OF_PARTS - {"net_interest_margin"}
    nothing: Row = {"published": None, "recomputed": None, "difference": None, "parts": []}
    return [
        row | nothing
        if row["measure"] in unknown and not row["published"] and not row["difference"]
        else row | {"is_incomplete": row["measure"] in sums | unknown}
        for row in measures
    ]


def account_month(
    connection: DuckDBPyConnection, account_id: str, month: date
) -> tuple[Row, list[Row]]:
    """The account in the month, and each measure with its parts, recomputed."""
    values: Row = {"account": account_id, "month": month}
    (account,) = _rows(connection, "account", values)
    (published,) = _rows(connection, "published", values)
    values["credit_lines"] = list(vocabulary.lines_where("is_credit"))
    parts = [row for component in COMPONENTS for row in _rows(connection, component, values)]
    delivered = _rows(connection, "delivered", values)
    return account, [
        found
        for measure in MEASURES
        for found in _measured(
            measure, [row for row in parts if row["measure"] == measure.name], delivered, published
        )
    ]


def _month(account_id: str, month: str, release: Row) -> date:
    """The month asked for, if the account has a row in it."""
    months = release["months"]
    if months is None:
        raise AccountUnknown(
            f"ACCOUNT={account_id} is invalid: expected an account of release "
            f"{release['release_id']}. Write the id as the bank delivers it."
        )
    if not MONTH.match(month):
        raise AccountUnknown(f"MONTH={month} is invalid: expected YYYY-MM, such as {months[-1]}.")
    if month not in months:
        raise AccountUnknown(
            f"MONTH={month} is invalid: expected a month of account {account_id} in release "
            f"{release['release_id']}, which has {months[0]} to {months[-1]}. Choose one of them."
        )
    return date.fromisoformat(f"{month}-01")


def _refuse_erased(connection: DuckDBPyConnection, account_id: str, role: str) -> None:
    if role == COMPLIANCE or not has_table(connection, "contacts.contactability"):
        return
    if _rows(connection, "erased", {"account": account_id}):
        raise AccountUnknown(
            f"ACCOUNT={account_id} is invalid: its holder was erased on request, and only the role "
            f"{COMPLIANCE} reads what has to be kept. Ask for ROLE={COMPLIANCE}."
        )


def _rows(connection: DuckDBPyConnection, component: str, values: Row) -> list[Row]:
    return rows(connection, FOLDER / f"{component}.sql", values)


def _measured(
    measure: Measure, parts: list[Row], delivered: list[Row], published: Row
) -> list[Row]:
    """The measure with its parts, its amount recomputed and the published one; a measure of several
    scopes, such as the tranches of a portfolio, once for each."""
    items = [
        {"part": f"delivered: {row['item']}", "amount": row["amount"], "effect": EFFECTS[key]}
        for row in delivered
        if (key := (row["item"], measure.name)) in EFFECTS
    ]
    is_replaced = any(item["effect"] == "replaces" for item in items)
    found = []
    for scope, scoped in groupby(parts or [{}], key=lambda row: row.get("scope")):
        own = [row for row in scoped if row]
        if is_replaced:
            own = []
        amount = own[0]["published"] if scope else published.get(measure.name)
        recomputed = sum((item["amount"] for item in items), _total(own, measure.places))
        if amount is None and not own:
            continue
        found.append(
            {
                "measure": f"{measure.name}, {scope}" if scope else measure.name,
                "formula": measure.formula,
                "parts": [_part(row, measure.places) for row in own] + items,
                "recomputed": recomputed,
                "published": amount,
                "difference": recomputed - (amount or 0),
                "is_incomplete": False,
            }
        )
    return found


def _total(parts: list[Row], places: int) -> Decimal:
    """The exact sum of the parts, each step rounded on its own."""
    steps: dict[int, Fraction] = {}
    for row in parts:
        step = row.get("step", 1)
        steps[step] = steps.get(step, Fraction(0)) + _share(row)
    return sum((rounded(amount, places) for amount in steps.values()), rounded(Fraction(0), places))


def _share(row: Row) -> Fraction:
    return Fraction(row["numerator"]) / Fraction(row["denominator"])


def _part(row: Row, places: int) -> Row:
    """A part as it is shown: its operands, and its share of the amount with two more places."""
    shown = {name: value for name, value in row.items() if name not in INNER and value is not None}
    return {**shown, "amount": rounded(_share(row), places + 2)}


def rounded(amount: Fraction, places: int) -> Decimal:
    """Rounded half away from zero, as `macros/portable/money.sql` does."""
    units = (2 * abs(amount.numerator) * 10**places + amount.denominator) // (
        2 * amount.denominator
    )
    return Decimal(units if amount >= 0 else -units).scaleb(-places)


def _checked_records(
    connection: DuckDBPyConnection, account_id: str, month: date, records: Records
) -> list[Row]:
    """The delivered bookings beside those of the release, where the files can be read."""
    if records.note is not None:
        return []
    booked = [row["amount"] for row in records.rows if row["table"] == "transaction"]
    (counted,) = _rows(connection, "booked", {"account": account_id, "month": month})
    total = sum(booked, Decimal("0.00"))
    return [
        {
            "measure": name,
            "formula": formula,
            "parts": [],
            "recomputed": found,
            "published": expected,
            "difference": found - expected,
            "is_incomplete": False,
        }
        for name, formula, found, expected in (
            ("bookings", "rows of the delivery", len(booked), counted["bookings"]),
            ("booked_amount", "sum of their amounts", total, counted["amount"]),
        )
    ]
