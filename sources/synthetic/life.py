"""Life events, wishes for products and attrition: the monthly changes of the hidden states."""

from __future__ import annotations

import numpy as np

from sources.synthetic.population import (
    DIVORCED,
    MARRIED,
    PENSION_AGE,
    RETIRED,
    SINGLE,
    SPECIALIST,
    STUDENT,
    UNEMPLOYED,
    Flags,
    Floats,
)
from sources.synthetic.products import LOANS, OF_PERSONS, Slot
from sources.synthetic.state import ORGANIC, Bank, PlannedOpenings, Step, reach
from sources.synthetic.timeline import FIRST_DAY

RETURN_RATE = 0.05  # a leaving customer stays after all
CLOSE_RATE = 0.20  # a leaving customer closes everything
DISTRESS_END = 0.16
MISS_RATE = 0.75
MORTGAGE_MISS_RATE = 0.33
REDRAWN_DRIFT = 0.02
EARLY_REPAYMENT = 0.008
LAPSE_RATE = 0.006
UPSET_MONTHS = 6
# Rates look at the age once, at the end of the first year.
AGE_DAY = FIRST_DAY + 364
FADING_RATE = 0.008
FADING_PACE = -0.20

# Share of customers without the product who begin to want it in a month.
WISH = {
    Slot.SAVINGS: 0.010,
    Slot.TERM_DEPOSIT: 0.0045,
    Slot.MORTGAGE: 0.0022,
    Slot.CONSUMER_LOAN: 0.0070,
    Slot.OVERDRAFT: 0.0035,
    Slot.CREDIT_CARD: 0.0050,
    Slot.FUND: 0.0036,
    Slot.INSURANCE: 0.0045,
    Slot.WEALTH: 0.0040,
}


def leave_hazard(bank: Bank) -> Floats:
    """Monthly probability that a loyal customer begins to leave, without the complaint's part."""
    held = (bank.accounts.held >= 0).sum(axis=1)
    return np.minimum(
        0.0075
        * np.exp(0.85 * bank.people.loyalty)
        * np.where(bank.people.age(AGE_DAY) < 32, 1.5, 1.0)
        * 0.8 ** np.maximum(held - 1, 0)
        * np.where(bank.holds(Slot.MORTGAGE), 0.4, 1.0),
        0.25,
    )


def complaint_factor(upset: Flags) -> Floats:
    return np.where(upset, 4.0, 1.0)


def distress_hazard(bank: Bank) -> Floats:
    """Monthly probability that a customer stops being able to pay."""
    strained = np.where(bank.unemployed, 6.0, 1.0)
    return np.minimum(0.0010 * np.exp(0.9 * bank.people.risk) * strained, 0.3)


def wish_hazard(bank: Bank) -> Floats:
    """(customers, slots): monthly probability of beginning to want a product not yet held."""
    people = bank.people
    age = people.age(AGE_DAY)
    wealth = np.log(people.wealth / 7_000)
    wish = np.zeros(bank.planned.shape)
    for slot, rate in WISH.items():
        wish[:, slot] = rate * np.exp(0.8 * people.affinity[:, slot] - 0.3)
    earning = ~bank.unemployed & ~bank.distress
    wish[:, Slot.TERM_DEPOSIT] *= np.exp(0.6 * wealth) * (bank.balance_in(Slot.SAVINGS) > 300_000)
    wish[:, Slot.MORTGAGE] *= (
        ((age > 24) & (age < 52) & earning & (bank.income > 1_300))
        * np.where(bank.settling > 0, 4.0, 1.0)
        * 1.6
    )
    wish[:, Slot.CONSUMER_LOAN] *= (
        np.where(age > 68, 0.2, 1.0)
        * np.where(bank.position() < 50_000 * people.buffer, 1.7, 0.8)
        * earning
        * np.where(bank.settling > 0, 1.8, 1.0)
    )
    wish[:, Slot.OVERDRAFT] *= np.where(people.buffer < 0, 5.0, 0.8)
    wish[:, Slot.CREDIT_CARD] *= (0.5 + people.digital) * earning
    wish[:, Slot.FUND] *= np.exp(0.7 * wealth)
    wish[:, Slot.WEALTH] *= np.exp(0.6 * wealth)
    wish[:, Slot.INSURANCE] *= np.where(bank.settling > 0, 2.5, 1.0)
    owns_current = bank.holds(Slot.CURRENT)
    wish[~owns_current, Slot.OVERDRAFT] = 0
    wish[:, LOANS[0]] *= np.where(bank.people.home == np.arange(people.size), 1.0, 0.0)
    wish[np.ix_(people.firm, np.array(OF_PERSONS))] = 0
    wish[(bank.accounts.held >= 0) | bank.planned] = 0
    wish[~bank.alive | bank.in_default()] = 0
    wish *= np.where(bank.leaving > 0, 0.1, 1.0)[:, None]
    return np.minimum(wish, 0.2)


def begin_midway(bank: Bank, rng: np.random.Generator) -> None:
    """Set the shares of leaving and distressed customers that a long history would produce."""
    size = bank.people.size
    months = rng.geometric(1 - (1 - RETURN_RATE) * (1 - CLOSE_RATE), size)
    starts = bank.alive & (rng.random(size) < 4.2 * leave_hazard(bank))
    bank.leaving = np.where(starts, months, 0)[bank.people.home].astype(np.int16)
    bank.engagement = np.where(bank.leaving > 0, np.maximum(0.8**bank.leaving, 0.1), 1.0)
    bank.distress = bank.alive & (rng.random(size) < 4.0 * distress_hazard(bank))


def advance(bank: Bank, step: Step) -> None:
    """Move customers' states into the month; sets `step.closing`."""
    _change_work(bank, step)
    _change_household(bank, step)
    _complain(bank, step)
    _leave(bank, step)
    _strain(bank, step)
    _wish(bank, step)


def _change_work(bank: Bank, step: Step) -> None:
    rng, people, size = step.rng, bank.people, bank.people.size
    if step.month.of_year == 1:
        bank.income *= np.where(bank.retired, 1.015, 1 + people.growth)
    age = people.age(step.month.start)
    u = rng.random(size)
    working = ~bank.retired & ~bank.unemployed & (bank.occupation != STUDENT) & ~people.firm
    promoted = working & (u < 0.004 * np.exp(12 * people.growth)) & (age < 60)
    bank.income[promoted] *= rng.uniform(1.08, 1.3, size)[promoted]
    local = bank.places.unemployment[bank.district]
    dismissed = working & (u > 1 - 0.05 * local * np.exp(0.3 * people.risk))
    bank.occupation[dismissed] = UNEMPLOYED
    hired = bank.unemployed & ~dismissed & (u < 0.13)
    bank.occupation[hired] = bank.usual_occupation[hired]
    bank.income[hired] *= rng.uniform(0.8, 1.1, size)[hired]
    graduated = (bank.occupation == STUDENT) & (age > 23) & (u < 0.08)
    bank.occupation[graduated] = SPECIALIST
    bank.usual_occupation[graduated] = SPECIALIST
    bank.income[graduated] *= 2.6
    pensioned = ~bank.retired & (age >= PENSION_AGE) & (rng.random(size) < 0.2)
    bank.occupation[pensioned] = RETIRED
    bank.income[pensioned] *= 0.62
    # Shops grow or shrink at individual rates; some decline until they give up.
    bank.fading |= people.trader & (rng.random(size) < FADING_RATE)
    pace = np.where(bank.fading, FADING_PACE, people.expansion)
    bank.turnover *= np.exp(rng.normal(pace, 0.06, size))


def _change_household(bank: Bank, step: Step) -> None:
    rng, people, size = step.rng, bank.people, bank.people.size
    age = people.age(step.month.start)
    u = rng.random(size)
    bank.settling = np.maximum(bank.settling - 1, 0)
    single = (bank.marital == SINGLE) & (people.partner < 0) & bank.alive
    wed = np.flatnonzero(single & (age > 21) & (age < 45) & (u < 0.006))
    # Newly-weds of the month form households in pairs of a man and a woman.
    women, men = wed[people.female[wed]], wed[~people.female[wed]]
    pairs = min(len(women), len(men))
    bank.household[men[:pairs]] = bank.household[women[:pairs]]
    bank.marital[wed] = MARRIED
    bank.settling[wed] = 18
    child = (bank.marital == MARRIED) & (age > 24) & (age < 42) & (u > 0.995)
    bank.settling[child] = 24
    bank.drift[child] -= 0.006
    divorced = (bank.marital == MARRIED) & (age < 65) & (u > 0.6) & (u < 0.6008)
    bank.marital[divorced] = DIVORCED
    moved = (u > 0.5) & (u < 0.5012)
    bank.district[moved] = rng.integers(0, len(bank.places.population), size)[moved]
    bank.consent &= ~((u > 0.4) & (u < 0.402))
    redrawn = rng.random(size) < REDRAWN_DRIFT
    bank.drift[redrawn] = rng.normal(0.003, 0.016, size)[redrawn]
    if step.month.closes_quarter:
        changed = np.flatnonzero((bank.manager >= 0) & (rng.random(size) < 0.01))
        places = bank.places
        for branch in range(len(places.branch_district)):
            staff = np.flatnonzero((places.employee_branch == branch) & (places.employee_role == 1))
            mine = changed[people.branch[changed] == branch]
            bank.manager[mine] = rng.choice(staff, len(mine))


def _complain(bank: Bank, step: Step) -> None:
    rng, size = step.rng, bank.people.size
    bank.upset = np.maximum(bank.upset - 1, 0)
    rate = 0.004 * np.exp(0.5 * bank.people.loyalty) * np.where(bank.distress, 3.0, 1.0)
    complaining = np.flatnonzero(bank.alive & (rng.random(size) < rate))
    bank.upset[complaining] = UPSET_MONTHS
    _talk(bank, step, complaining, "complaint", -0.7)
    visits = 0.05 * (1 - bank.people.digital)
    for topic, rate, mood in (
        ("inquiry", np.full(size, 0.035), 0.1),
        ("visit", visits, 0.2),
        ("feedback", np.full(size, 0.008), 0.2),
    ):
        chosen = bank.alive & (rng.random(size) < rate * bank.engagement)
        _talk(bank, step, np.flatnonzero(chosen), topic, mood)


def _talk(bank: Bank, step: Step, customer: np.ndarray, topic: str, mood: float) -> None:
    # Leaving customers have a lower sentiment, which a model can detect.
    leaving = bank.leaving[customer] > 0
    sentiment = step.rng.normal(mood, 0.3, len(customer)) - 0.3 * leaving
    step.interactions.add(
        customer,
        step.rng.integers(1, step.month.days + 1, len(customer)),
        reach(bank.people.digital[customer], step.rng),
        topic,
        np.round(sentiment.clip(-1, 1), 2),
    )


def _leave(bank: Bank, step: Step) -> None:
    rng, size = step.rng, bank.people.size
    home = bank.people.home
    u, v = rng.random(size), rng.random(size)
    hazard = leave_hazard(bank) * complaint_factor(bank.upset > 0)
    leaving = bank.leaving
    gone = leaving > 0
    back = gone & (u < RETURN_RATE)
    closing = gone & ~back & (v < CLOSE_RATE) & bank.alive
    starts = (leaving == 0) & bank.alive & (u < hazard)
    leaving = np.where(back, 0, np.where(gone, leaving + 1, np.where(starts, 1, 0)))
    # A customer who uses the partner's current account leaves with the partner.
    bank.leaving = leaving[home].astype(np.int16)
    step.closing = closing[home] & bank.alive
    bank.engagement = np.where(
        bank.leaving > 0,
        np.maximum(0.8 * bank.engagement, 0.1),
        bank.engagement + 0.4 * (1 - bank.engagement),
    )


def _strain(bank: Bank, step: Step) -> None:
    u = step.rng.random(bank.people.size)
    ends = bank.distress & (u < DISTRESS_END) & ~bank.in_default()
    begins = ~bank.distress & (u < distress_hazard(bank)) & bank.alive
    bank.distress = (bank.distress & ~ends) | begins


def _wish(bank: Bank, step: Step) -> None:
    """Customers who begin to want a product open it within three months and often ask before."""
    rng, month = step.rng, step.month
    hazard = wish_hazard(bank)
    hazard[bank.answering_until >= month.index] = 0
    hazard[step.closing] = 0
    customer, slot = np.nonzero(rng.random(hazard.shape) < hazard)
    if not len(customer):
        return
    ahead = rng.integers(1, 4, len(customer))
    day = rng.integers(1, 27, len(customer))
    for months in (1, 2, 3):
        chosen = ahead == months
        bank.plan(
            month.index + months,
            PlannedOpenings(
                customer[chosen],
                slot[chosen],
                day[chosen],
                np.full(int(chosen.sum()), ORGANIC),
            ),
        )
    u = rng.random(len(customer))
    _talk(bank, step, customer[u < 0.35], "inquiry", 0.3)
    _talk(bank, step, customer[(u > 0.35) & (u < 0.65)], "appointment", 0.3)
