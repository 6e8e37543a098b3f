"""Campaigns with a randomised control group and a planted effect that differs by customer.

Eligible customers who are drawn are contacted or held out at random, with a share that depends on
the stratum. During the sixty days after the (real or withheld) contact the campaign's own two
probabilities replace the customer's wish for the product, so that

    uplift = response probability when contacted - response probability when held out

holds exactly, and is negative for some (customers a contact puts off).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sources.synthetic.life import AGE_DAY, wish_hazard
from sources.synthetic.population import Floats, Ints
from sources.synthetic.products import PRODUCT_OF_SLOT, Slot
from sources.synthetic.state import Bank, PlannedOpenings, Step
from sources.synthetic.timeline import month

ANSWER_DAYS = 60
CONTACTED_SHARE = 0.4
TREATED = 0
CONTROL = 1


@dataclass(frozen=True)
class Campaign:
    """`month` is the index it starts in; costs in cents; `shares`: treated in the lower and upper
    stratum of the offer's score."""

    name: str
    month: int
    slot: Slot
    product: int
    channel: str
    cost_per_contact: int
    incentive_cost: int
    shares: tuple[float, float]


def _campaign(
    name: str, start: int, slot: Slot, channel: str, cost: int, incentive: int,
    shares: tuple[float, float], variant: int = 0,
) -> Campaign:  # fmt: skip
    code = PRODUCT_OF_SLOT[slot] + variant
    return Campaign(name, start, slot, code, channel, cost, incentive, shares)


# Five offers, each repeated.
CALENDAR: tuple[Campaign, ...] = (
    _campaign("Card, spring", 2, Slot.CREDIT_CARD, "mobile", 15, 2_500, (0.5, 0.5)),
    _campaign("Fund, first step", 5, Slot.FUND, "telephone", 600, 3_000, (0.5, 0.7)),
    _campaign("Loan, autumn", 8, Slot.CONSUMER_LOAN, "mobile", 15, 0, (0.5, 0.6)),
    _campaign("Term deposit, new year", 11, Slot.TERM_DEPOSIT, "online", 10, 1_500, (0.5, 0.5)),
    _campaign("Insurance, home and life", 15, Slot.INSURANCE, "telephone", 550, 1_000, (0.6, 0.6)),
    _campaign("Card, summer", 18, Slot.CREDIT_CARD, "mobile", 15, 2_500, (0.5, 0.7)),
    _campaign("Loan, renovation", 21, Slot.CONSUMER_LOAN, "online", 12, 0, (0.5, 0.7)),
    _campaign("Fund, second step", 24, Slot.FUND, "branch", 900, 3_000, (0.6, 0.7)),
    _campaign("Term deposit, spring", 27, Slot.TERM_DEPOSIT, "mobile", 12, 1_500, (0.5, 0.7)),
    _campaign("Insurance, summer", 30, Slot.INSURANCE, "mobile", 15, 1_000, (0.5, 0.5)),
)


def campaigns_within(months: int) -> tuple[Campaign, ...]:
    """The campaigns whose contacts and first answers fall into `months` of history."""
    return tuple(campaign for campaign in CALENDAR if campaign.month + 2 <= months)


@dataclass(frozen=True)
class Contacts:
    """One campaign's contacts with the hidden probabilities of an answer within sixty days."""

    campaign: int
    customer: Ints
    day: Ints
    arm: Ints
    assignment_probability: Floats  # of the arm assigned
    employee: Ints  # -1 none
    treated_response: Floats
    control_response: Floats


def hidden_uplift(bank: Bank, slot: Slot) -> Floats:
    """What a contact adds to the probability of taking the product, for every customer.

    It depends on age, balances, activity and income, and on mood and the wish to leave.
    """
    people = bank.people
    young = (45 - people.age(AGE_DAY)) / 20
    rich = np.log(people.wealth / 7_000)
    online = 2 * people.digital - 1
    saved = np.log1p(bank.balance_in(Slot.SAVINGS) / 100) / 10
    if slot == Slot.CREDIT_CARD:
        effect = 0.045 + 0.05 * online + 0.02 * np.log(people.intensity) + 0.015 * young
    elif slot == Slot.CONSUMER_LOAN:
        effect = 0.03 - 0.035 * rich.clip(-1, 1.5) + 0.02 * young + 0.03 * (bank.settling > 0)
    elif slot == Slot.FUND:
        effect = 0.02 + 0.03 * rich.clip(-1, 2) + 0.02 * saved - 0.01 * young
    elif slot == Slot.TERM_DEPOSIT:
        effect = 0.0 + 0.06 * saved + 0.02 * rich.clip(-1, 2) - 0.025 * young
    else:
        effect = 0.03 + 0.06 * (bank.settling > 0) + 0.012 * young - 0.015 * online
    effect -= 0.06 * (bank.upset > 0) + 0.04 * (bank.leaving > 0)
    return np.clip(effect, -0.05, 0.16)


def hidden_response(bank: Bank, slot: Slot, wish: Floats) -> tuple[Floats, Floats]:
    """Probabilities of taking the product within sixty days, held out and contacted, for every
    customer; `wish` is the monthly hazard of taking it unasked."""
    control = np.clip(0.008 + 3.0 * wish, 0.006, 0.35)
    return control, np.clip(control + hidden_uplift(bank, slot), 0.001, 0.6)


def hold(bank: Bank, step: Step, campaign: Campaign, number: int) -> Contacts:
    """Draw, randomise and contact; plan the openings of customers who will respond."""
    rng, people, this = step.rng, bank.people, step.month
    slot = campaign.slot
    wish = wish_hazard(bank)[:, slot]
    everyone = np.arange(people.size)
    eligible = (
        bank.alive
        & ~step.closing
        & bank.consent
        & (people.joined < this.index)
        & (bank.current_of(everyone) >= 0)
        & (bank.accounts.held[:, slot] < 0)
        & ~bank.planned[:, slot]
        & (bank.answering_until[:, slot] < this.index)
        & ~bank.in_default()
    )
    score = np.log(people.wealth) + rng.normal(0, 1.0, people.size)
    if slot in (Slot.CONSUMER_LOAN, Slot.CREDIT_CARD):
        score = people.digital + rng.normal(0, 0.4, people.size)
    if not eligible.any():
        upper = np.zeros(people.size, dtype=bool)
    else:
        upper = score > np.median(score[eligible])
    drawn = eligible & (rng.random(people.size) < CONTACTED_SHARE * np.where(upper, 1.3, 0.7))
    who = np.flatnonzero(drawn)
    share = np.array(campaign.shares)[upper[who].astype(int)]
    treated = rng.random(len(who)) < share
    control_response, treated_response = (
        probability[who] for probability in hidden_response(bank, slot, wish)
    )
    day = rng.integers(1, 29, len(who))
    answers = rng.random(len(who)) < np.where(treated, treated_response, control_response)
    delay = 1 + np.floor((ANSWER_DAYS - 1) * rng.beta(1.2, 2.5, len(who))).astype(np.int64)
    answer_day = this.start + day - 1 + delay
    bank.answering_until[who, slot] = this.index + 2
    for ahead in range(3):
        target = month(this.index + ahead)
        chosen = answers & (answer_day >= target.start) & (answer_day <= target.last)
        bank.plan(
            target.index,
            PlannedOpenings(
                who[chosen],
                np.full(int(chosen.sum()), int(slot)),
                answer_day[chosen] - target.start + 1,
                np.full(int(chosen.sum()), number),
            ),
        )
    return Contacts(
        campaign=number,
        customer=who,
        day=this.start + day - 1,
        arm=np.where(treated, TREATED, CONTROL),
        assignment_probability=np.where(treated, share, 1 - share),
        employee=_caller(bank, campaign, who, rng),
        treated_response=treated_response,
        control_response=control_response,
    )


def _caller(bank: Bank, campaign: Campaign, who: Ints, rng: np.random.Generator) -> Ints:
    """The contacting employee: the relationship manager, else a seller of the branch."""
    if campaign.channel not in ("branch", "telephone"):
        return np.full(len(who), -1)
    places = bank.places
    seller = np.zeros(len(places.branch_district), dtype=np.int64)
    role = places.employee_role == 2
    seller[places.employee_branch[role]] = np.flatnonzero(role)
    manager = bank.manager[who]
    return np.where(manager >= 0, manager, seller[bank.people.branch[who]])
