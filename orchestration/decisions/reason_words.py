"""What moved a score, in the words of those who talk to customers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from orchestration.decisions.feature_sentences import (
    BOOKED_BY,
    FIGURE,
    LINES,
    WINDOW,
    feature_sentence,
    percent,
)
from orchestration.decisions.roles import WITHHELD
from reports.words import Phrase, joined

# "income_3m 0 (usual 900 of customers of the same tier, before 600)": a feature, its value, what is
# usual and of whom, and what the customer had before. Older releases have no "of" and "before".
PART = re.compile(r"^(?P<feature>[a-z][a-z0-9_]*) (?P<values>.*)$", re.DOTALL)
VALUED = re.compile(
    r"^(?P<value>.*?) \(usual (?P<usual>.*?)"
    r"(?: of (?P<peers>(?:customers|businesses|other)[a-z ]*))?"
    r"(?:, before (?P<before>[^,()]+))?\)$",
    re.DOTALL,
)
LATE, DAYS_LATE = "days_past_due", re.compile(r"\d+ days past due")
SEPARATOR = "; "
# A place of a sentence's pattern, escaped.
PLACE = re.compile(r"\\\{\d\\\}")

BY_LINE = {
    "balance": "balance on {0}",
    "average": "average balance on {0}",
    "accounts": "accounts: {0}",
    "opened": "accounts opened: {0}",
    "contribution": "contribution from {0}",
    "trend": "trend of {0}",
    "pace": "contribution a year at the present pace, {0}",
    "change": "expected change of the contribution from {0}",
    "run_off": "loss of contribution as {0} are repaid",
    "attrition": "loss of contribution should the customer leave {0}",
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
    "last_period_contribution": "contribution of the period before",
    "lending": "debt",
    "cash": "use of cash",
    "trend_contribution_margin": "trend of the contribution",
}
NO_LOSS = ", less an expected loss of 0.00"
ONE_DAY, DEFAULT = "one day past due", "probability of default {0}"
# The money behind a contact, which the reasons of the customer go before.
OF_MONEY = ("a contact adds ", "taken, it brings ", "the contact costs ")
SENTENCES = (
    "{0} days past due",
    DEFAULT,
    "another loan of the borrower is in default",
    "a contact adds {0} points to the probability of taking {1} ({2} % when contacted)",
    f"taken, it brings {{0}} in a year{NO_LOSS}",
    "taken, it brings {0} in a year, less an expected loss of {1}",
    "the contact costs {0}, a response {1}",
    "the contact costs {0}",
)
# Features of one word, which a sentence could begin with as well, count only before "(usual …)".
USUAL = "(usual "


def feature_words(feature: str) -> str:
    """A feature's name in words: `bookings_online_3m` → "bookings online, last 3 months"."""
    window = WINDOW.match(feature)
    if not window:
        return _stem_words(feature)
    stem, months = _stem_words(window["stem"]), int(window["months"])
    if months == 1:
        return Phrase("{0}, last month", stem)
    return Phrase("{0}, last {1} months", stem, months)


def _stem_words(stem: str) -> str:
    if stem in STEMS:
        return STEMS[stem]
    if stem.startswith("bookings_") and (kind := stem.removeprefix("bookings_")) in BOOKED_BY:
        return BOOKED_BY[kind]
    beginning, _, line = stem.rpartition("_")
    if beginning in BY_LINE and line in LINES:
        return Phrase(BY_LINE[beginning], LINES[line])
    return stem.replace("_", " ")


def feature_value(text: str) -> str | Decimal:
    """The value of a feature, which a reason holds as text: a figure, or a word."""
    return Decimal(f"{Decimal(text):f}") if FIGURE.fullmatch(text) else text


def is_withheld(feature: str, withheld: Collection[str]) -> bool:
    """Whether a feature is one of the withheld columns, also over a window of months."""
    window = WINDOW.match(feature)
    return (window["stem"] if window else feature) in withheld


def part_in_words(part: str, withheld: Collection[str] = WITHHELD) -> str | None:
    """One part of a reason in words; None where it shows what is withheld."""
    found = PART.match(part.strip())
    if not found:
        return sentence(part.strip()) or None
    feature, values = found["feature"], found["values"]
    if "_" not in feature and USUAL not in values:
        return sentence(part.strip())
    if is_withheld(feature, withheld):
        return None
    valued = VALUED.match(values)
    if not valued:
        return Phrase("{0}: {1}", feature_words(feature), feature_value(values))
    value, usual = ("" if valued[name] == "none" else valued[name] for name in ("value", "usual"))
    return feature_sentence(feature, value, usual, valued["peers"], valued["before"])


def row_in_words(row: Mapping[str, Any]) -> str | None:
    """A row of `scores.reason` as a sentence; older releases do not hold of whom the usual value
    is."""
    texts = (row["value"] or "", row["usual"] or "")
    return feature_sentence(row["feature"], *texts, row.get("usual_of"), row.get("before"))


def sentence(text: str, patterns: Collection[str] = SENTENCES) -> str:
    """A sentence of the tables with its figures and names in place; another one as it is."""
    for pattern in patterns:
        if found := _matcher(pattern).fullmatch(text):
            parts = [feature_value(part) for part in found.groups()]
            if pattern == DEFAULT and isinstance(parts[0], Decimal):
                parts = [percent(parts[0], 1)]
            if text == "1 days past due":
                return ONE_DAY
            return Phrase(pattern.removesuffix(NO_LOSS), *parts)
    return text


@cache
def _matcher(pattern: str) -> re.Pattern[str]:
    return re.compile(PLACE.sub("(.+)", re.escape(pattern)))


def reason_in_words(reason: str | None, withheld: Collection[str] = WITHHELD) -> str | None:
    """A reason of parts as sentences, without what is withheld and what is usual.

    What moved the scores comes before the money; sentences among the parts stay as they are. None
    where nothing is left.
    """
    if not reason:
        return None
    parts = reason.split(SEPARATOR)
    if any(map(DAYS_LATE.fullmatch, parts)):
        parts = [part for part in parts if not part.startswith(f"{LATE} ")]
    parts.sort(key=lambda part: part.startswith(OF_MONEY))
    shown = [words for part in parts if (words := part_in_words(part, withheld))]
    return joined("{0}; {1}", shown) if shown else None


def segment_words(name: str) -> str:
    """A segment's name, which is made of words, as a phrase of them."""
    if numbered := re.fullmatch(r"(.+) \((.+)\)", name):
        return Phrase("{0} ({1})", segment_words(numbered[1]), numbered[2])
    for pattern in ("{0}, {1}", "{0} · {1}"):
        if len(parts := name.split(pattern[3:-3])) > 1:
            return joined(pattern, map(segment_words, parts))
    word = name.removeprefix("rather ")
    return name if word == name else Phrase("rather {0}", word)
