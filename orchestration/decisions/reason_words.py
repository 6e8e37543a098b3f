"""What moved a score, in the words of those who talk to customers."""

from __future__ import annotations

import re
from collections.abc import Collection

from orchestration.decisions.roles import WITHHELD
from sources.vocabulary import BOOKING_GROUPS, CHANNELS, PRODUCT_LINES

WINDOW = re.compile(r"^(?P<stem>.+?)_(?P<months>\d+)m$")
# "balance_deposits -169.3 (usual 1978)": a feature, what it is, and what is usual.
PART = re.compile(r"^(?P<feature>[a-z][a-z0-9_]*) (?P<values>.*)$", re.DOTALL)
SEPARATOR = "; "

LINES = {line.product_line: line.label for line in PRODUCT_LINES}
BOOKINGS = {
    **{channel.channel: channel.label for channel in CHANNELS},
    "no_channel": "bookings without a channel",
    **{group.booking_group: group.label for group in BOOKING_GROUPS},
}
BY_LINE = {
    "balance": "balance on {}",
    "average": "average balance on {}",
    "accounts": "accounts: {}",
    "opened": "accounts opened: {}",
    "contribution": "contribution from {}",
    "trend": "trend of {}",
    "pace": "contribution a year at the present pace, {}",
    "change": "expected change of the contribution from {}",
    "run_off": "loss of contribution as {} are repaid",
    "attrition": "loss of contribution should the customer leave {}",
}
STEMS = {
    "bookings": "bookings",
    "credit_rate": "rate paid on balances",
    "debit_rate": "rate charged on debt",
    "days_past_due": "days past due",
    "days_past_due_max": "most days past due",
    "days_since_active": "days since the last booking by hand",
    "days_since_booking": "days since the last booking",
    "is_defaulted": "in default",
    "limit_used_share": "share of the limit used",
    "loan_outstanding_share": "share of the loan still to be repaid",
    "months_to_maturity": "months until the next maturity",
    "months_since_income": "months since the last salary or pension",
    "months_with_income": "months with a salary or pension",
    "net_flow": "money in less money out",
    "new_business": "contribution expected from new business",
    "pace_of_contribution": "contribution a year at the present pace",
    "income": "salaries and pensions received",
    "income_max": "largest salary or pension",
    "inflow": "money in",
    "outflow": "money out",
    "overdraft": "overdrawn by",
    "overdraft_deepest": "deepest overdraft",
    "sentiment": "tone of the interactions",
    "fee_income": "fees paid",
    "wealth_invested": "invested, net",
    "tenure": "years with the bank",
    "tenure_months": "months with the bank",
    "loan_term": "months left of loans",
    "digital_share": "share of digital bookings",
    "value": "contribution",
    "wealth_accounts": "number of investment accounts",
    "lending": "debt",
    "cash": "use of cash",
    "trend_contribution_margin": "trend of the contribution",
}
# Features of one word, which a sentence could begin with as well, count only before "(usual …)".
USUAL = "(usual "


def feature_words(feature: str) -> str:
    """A feature's name in words: `bookings_online_3m` → "bookings online, last 3 months"."""
    window = WINDOW.match(feature)
    stem, over = feature, ""
    if window:
        stem, months = window["stem"], int(window["months"])
        over = ", last month" if months == 1 else f", last {months} months"
    if stem in STEMS:
        return STEMS[stem] + over
    if stem.startswith("bookings_") and (kind := stem.removeprefix("bookings_")) in BOOKINGS:
        return BOOKINGS[kind] + over
    beginning, _, line = stem.rpartition("_")
    if beginning in BY_LINE and line in LINES:
        return BY_LINE[beginning].format(LINES[line]) + over
    return stem.replace("_", " ") + over


def is_withheld(feature: str, withheld: Collection[str]) -> bool:
    """Whether a feature is one of the withheld columns, also over a window of months."""
    window = WINDOW.match(feature)
    return (window["stem"] if window else feature) in withheld


def part_in_words(part: str, withheld: Collection[str] = WITHHELD) -> str | None:
    """One part of a reason in words; None where it shows what is withheld."""
    found = PART.match(part.strip())
    if not found:
        return part.strip() or None
    feature, values = found["feature"], found["values"]
    if "_" not in feature and USUAL not in values:
        return part.strip()
    if is_withheld(feature, withheld):
        return None
    return f"{feature_words(feature)}: {values}"


def reason_in_words(reason: str | None, withheld: Collection[str] = WITHHELD) -> str | None:
    """A reason of parts `feature value (usual value)` in words, without what is withheld.

    Sentences among the parts stay as they are. None where nothing is left.
    """
    if not reason:
        return None
    parts = (part_in_words(part, withheld) for part in reason.split(SEPARATOR))
    return SEPARATOR.join(part for part in parts if part) or None
