"""The bank's state, which changes from month to month."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sources.synthetic.accounts import Accounts
from sources.synthetic.bookings import CHANNEL, Bookings
from sources.synthetic.currency import IN_DOLLARS, UNIT, rates_of, to_dollars, to_euros
from sources.synthetic.population import (
    RETIRED,
    UNEMPLOYED,
    Flags,
    Floats,
    Ints,
    Places,
    Population,
    Start,
)
from sources.synthetic.products import LOANS, SLOTS, Slot
from sources.synthetic.timeline import Month

TOPIC = {"inquiry": 0, "complaint": 1, "appointment": 2, "visit": 3, "feedback": 4}
ORGANIC = -1


@dataclass
class PlannedOpenings:
    """Products customers will take: on `day` of month `month`; `campaign` answers it, or -1."""

    customer: Ints
    slot: Ints
    day: Ints
    campaign: Ints


@dataclass
class Interactions:
    """Interactions of one month, as parallel columns."""

    parts: list[tuple[NDArray[Any], ...]] = field(default_factory=list)

    def add(self, customer: Ints, day: Ints, channel: Ints, topic: str, sentiment: Floats) -> None:
        if len(customer):
            code = np.full(len(customer), TOPIC[topic])
            self.parts.append((customer, day, channel, code, sentiment))

    def columns(self) -> list[NDArray[Any]]:
        """customer, day of the month, channel, topic, sentiment; ordered by day."""
        if not self.parts:
            return [np.zeros(0, dtype=np.int64) for _ in range(5)]
        columns = [np.concatenate([part[place] for part in self.parts]) for place in range(5)]
        order = np.argsort(columns[1], kind="stable")
        return [column[order] for column in columns]


class Bank:
    """Population, accounts, and each customer's changing state (arrays of length `people.size`)."""

    def __init__(self, places: Places, people: Population, start: Start, manager: Ints) -> None:
        size = people.size
        self.places = places
        self.people = people
        self.accounts = Accounts(size)
        self.income: Floats = start.income.copy()
        self.occupation: Ints = start.occupation.copy()
        self.usual_occupation: Ints = start.occupation.copy()
        self.marital: Ints = start.marital.copy()
        self.household: Ints = start.household.copy()
        self.district: Ints = start.district.copy()
        self.consent: Flags = start.consent.copy()
        self.manager: Ints = manager
        self.drift: Floats = start.drift.copy()
        self.turnover: Floats = start.turnover.copy()
        self.fading: Flags = np.zeros(size, dtype=bool)
        self.alive: Flags = people.joined < 0
        self.leaving: Ints = np.zeros(size, dtype=np.int16)  # months since leaving began, 0 loyal
        self.engagement: Floats = np.ones(size)
        self.distress: Flags = np.zeros(size, dtype=bool)
        self.upset: Ints = np.zeros(size, dtype=np.int16)  # months a complaint still rankles
        self.settling: Ints = np.zeros(size, dtype=np.int16)  # months after marriage or child
        self.funds: Floats = np.zeros(size)  # fund assets in cents
        self.planned: Flags = np.zeros((size, SLOTS), dtype=bool)
        # Last month in which a campaign's own rates replace the customer's own wish.
        self.answering_until: Ints = np.full((size, SLOTS), -1, dtype=np.int32)
        self.plans: dict[int, list[PlannedOpenings]] = {}
        self.average_rate, self.closing_rate = rates_of(0)

    def begin(self, month_index: int) -> None:
        self.average_rate, self.closing_rate = rates_of(month_index)

    @property
    def unemployed(self) -> Flags:
        return self.occupation == UNEMPLOYED

    @property
    def retired(self) -> Flags:
        return self.occupation == RETIRED

    def holds(self, slot: Slot) -> Flags:
        return self.accounts.held[:, slot] >= 0

    def current_of(self, customer: Ints) -> Ints:
        """The current account a customer uses, its own or the joint one; -1 none."""
        return self.accounts.held[self.people.home[customer], Slot.CURRENT]

    @property
    def in_dollars(self) -> Flags:
        """Which accounts are."""
        foreign = self.people.foreign[self.accounts["customer"]]
        return foreign & np.isin(self.accounts["slot"], IN_DOLLARS)

    def worth(self, rate: int) -> Floats:
        """Euros for a unit of the currency of each customer's savings and term deposits."""
        return np.where(self.people.foreign, rate / UNIT, 1.0)

    def in_savings(self, who: Ints, cents: Ints) -> Ints:
        """Cents of euros in the currency of the customers' savings and term deposits."""
        return np.where(self.people.foreign[who], to_dollars(cents, self.average_rate), cents)

    def from_savings(self, who: Ints, cents: Ints) -> Ints:
        """The other way."""
        return np.where(self.people.foreign[who], to_euros(cents, self.average_rate), cents)

    def balance_in(self, slot: Slot) -> Floats:
        """Balance, cents of euros, in each customer's own account of the slot, 0 without one."""
        held = self.accounts.held[:, slot]
        balance = np.zeros(self.people.size)
        some = held >= 0
        balance[some] = self.accounts["balance"][held[some]]
        return balance * self.worth(self.average_rate) if slot in IN_DOLLARS else balance

    def position(self) -> Floats:
        """Cents on the customer's own current account and overdraft line together."""
        return self.balance_in(Slot.CURRENT) + self.balance_in(Slot.OVERDRAFT)

    def instalments(self) -> Floats:
        """Cents a month that each customer owes on its own loans."""
        accounts = self.accounts
        loan = np.isin(accounts["slot"], LOANS) & (accounts["closed"] == 0)
        loan &= accounts["defaulted_month"] < 0
        return np.bincount(
            accounts["customer"][loan],
            weights=accounts["instalment"][loan].astype(np.float64),
            minlength=self.people.size,
        ).astype(np.float64)

    def members(self) -> Ints:
        """How many living customers use each customer's current account."""
        return np.bincount(self.people.home, weights=self.alive, minlength=self.people.size).astype(
            np.int64
        )

    def plan(self, month: int, openings: PlannedOpenings) -> None:
        self.planned[openings.customer, openings.slot] = True
        self.plans.setdefault(month, []).append(openings)

    def in_default(self) -> Flags:
        result = np.zeros(self.people.size, dtype=bool)
        bad = (self.accounts["defaulted_month"] >= 0) & (self.accounts["closed"] == 0)
        result[self.accounts["customer"][bad]] = True
        return result


@dataclass
class Step:
    """The output of one month besides the changed state."""

    month: Month
    rng: np.random.Generator
    bookings: Bookings
    interactions: Interactions
    closing: Flags  # customers whose accounts all close this month
    responses: list[tuple[Ints, Ints, Ints, Ints]] = field(default_factory=list)
    # Accounts whose interest the bank reports by its own accrual, with the cents.
    accruals: tuple[Ints, Ints] = field(
        default_factory=lambda: (np.zeros(0, np.int64), np.zeros(0, np.int64))
    )

    def later(self, day: Ints) -> Ints:
        """A day after `day`, still within the month."""
        return np.minimum(day + 1, self.month.days)


def reach(digital: Floats, rng: np.random.Generator) -> Ints:
    """The channel a customer comes through: digital ones by mobile, others at the branch."""
    u = rng.random(len(digital))
    return np.select(
        [u < 0.7 * digital, u < 0.7 * digital + 0.25],
        [CHANNEL["mobile"], CHANNEL["telephone"]],
        CHANNEL["branch"],
    )
