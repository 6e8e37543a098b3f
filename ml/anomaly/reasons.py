"""Describe why a day is abnormal, without names or account numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_REASONS = 5
# Surprise (natural logarithm) below which a sign is not mentioned.
LEAST_SURPRISE = 1.0
TIMES_USUAL = 2.0
# The least number of an account's own bookings that define its habit.
HABIT = 3
EMPTIED, PASSED = 0.8, 0.9
SILENT_DAYS, YEAR = 120, 366
ROUND_DEPOSITS = 3
DAYS_A_MONTH = 30.4
KINDS = {
    "deposit": "cash deposit",
    "withdrawal": "cash withdrawal",
    "transfer_in": "incoming transfer",
    "transfer_out": "outgoing transfer",
}


@dataclass(frozen=True)
class KindEvidence:
    """An account's bookings of one kind on a day, beside its habits. Surprises in natural logs.

    Amounts are in currency units, all positive; `bookings_2d` and `bookings_10d` count the sizeable
    ones of the last days, `daily` is the usual number a day, `known_bookings` those that the usual
    amount was learned from.
    """

    kind: str
    channel: str
    is_in: bool
    largest_amount: float
    usual_amount: float
    known_bookings: int
    bookings_2d: int
    bookings_10d: int
    just_below_round_10d: int
    daily: float
    strangers: int
    new_channels: int
    amount_surprise: float
    count_surprise: float
    stranger_surprise: float
    channel_surprise: float

    @property
    def surprise(self) -> float:
        return (
            self.amount_surprise
            + self.count_surprise
            + self.stranger_surprise
            + self.channel_surprise
        )

    @property
    def name(self) -> str:
        return KINDS.get(self.kind, self.kind.replace("_", " "))


@dataclass(frozen=True)
class DayEvidence:
    """Evidence of an account's whole day: shares of the balance, days since its last use."""

    swept_share: float
    passed_share: float
    days_silent: int
    sweep_surprise: float
    pass_surprise: float


def _amount(kind: KindEvidence) -> str:
    times = kind.largest_amount / kind.usual_amount
    whose = "the account's" if kind.known_bookings >= HABIT else "comparable accounts'"
    way = "incoming" if kind.is_in else "outgoing"
    return (
        f"{kind.name} of {kind.largest_amount:,.2f} is {times:,.0f} times "
        f"{whose} usual {way} amount"
    )


def _count(kind: KindEvidence) -> str:
    """The shorter of the two windows when it holds most of the longer one's bookings."""
    count, days = kind.bookings_10d, 10
    if kind.bookings_2d > 1 and 2 * kind.bookings_2d >= kind.bookings_10d:
        count, days = kind.bookings_2d, 2
    below = ""
    few = max(ROUND_DEPOSITS, 0.75 * kind.bookings_10d)
    if kind.kind == "deposit" and kind.just_below_round_10d >= few:
        below = " just below round amounts"
    usual = DAYS_A_MONTH * kind.daily
    return f"{count} {kind.name}s{below} within {days} days, usually {usual:.1f} a month"


def explain(kinds: Sequence[KindEvidence], day: DayEvidence) -> str:
    """The strongest signs first, at most `MOST_REASONS`, parted by semicolons."""
    signs: list[tuple[float, str]] = []
    for kind in kinds:
        if kind.largest_amount >= TIMES_USUAL * kind.usual_amount:
            signs.append((kind.amount_surprise, _amount(kind)))
        if max(kind.bookings_2d, kind.bookings_10d) > 1:
            signs.append((kind.count_surprise, _count(kind)))
        if kind.channel_surprise >= LEAST_SURPRISE and kind.channel != "(none)":
            use = "first use of" if kind.new_channels else "seldom uses"
            signs.append((kind.channel_surprise, f"{use} {kind.channel} for {kind.name}s"))
    if day.swept_share >= EMPTIED:
        signs.append((day.sweep_surprise, f"balance emptied by {day.swept_share:.0%}"))
    if day.passed_share > PASSED:
        signs.append((day.pass_surprise, "leaves on the day it arrived"))
    signs = [sign for sign in signs if sign[0] >= LEAST_SURPRISE]
    # These signs have no surprise of their own but show an investigator where to look.
    if any(kind.strangers and not kind.is_in for kind in kinds):
        signs.append((LEAST_SURPRISE, "new counterparty"))
    if day.days_silent >= SILENT_DAYS:
        silent = "a year or more" if day.days_silent >= YEAR else f"{day.days_silent} days"
        signs.append((LEAST_SURPRISE, f"first use of the account in {silent}"))
    signs.sort(key=lambda sign: -sign[0])
    words = list(dict.fromkeys(text for _, text in signs))[:MOST_REASONS]
    return "; ".join(words) if words else "unusual combination of bookings for a day"
