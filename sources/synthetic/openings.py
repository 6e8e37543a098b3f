"""Opening and closing of accounts: the initial portfolio, products taken, maturing deposits and
leaving customers. Every amount that leaves one account arrives in another or outside the bank."""

from __future__ import annotations

import numpy as np

from sources.synthetic.bookings import BANKS
from sources.synthetic.population import Floats, Ints
from sources.synthetic.products import (
    BUSINESS_LOAN,
    COMMISSION_SHARE,
    CONSUMER_GRANT_FEE,
    FUND_ENTRY_FEE,
    LOANS,
    MORTGAGE_GRANT_FEE,
    OF_PERSONS,
    PRODUCT_OF_SLOT,
    PRODUCTS,
    RATE_OF_PRODUCT,
    TERM_OF_PRODUCT,
    WEALTH_YEARLY_FEE,
    WEALTH_YEARLY_RETURN,
    Slot,
)
from sources.synthetic.state import ORGANIC, Bank, Step
from sources.synthetic.timeline import FIRST_DAY, month

TERM_DEPOSITS = np.array(
    [code for code, product in enumerate(PRODUCTS) if product.slot == Slot.TERM_DEPOSIT]
)
WEALTH_PRODUCTS = np.array(
    [code for code, product in enumerate(PRODUCTS) if product.slot == Slot.WEALTH]
)
SIX_MONTHS_SHARE = 0.6
RENEWAL_RATE = 0.60
# Products that a partner using the same current account holds jointly.
SHARED = (Slot.CURRENT, Slot.MORTGAGE, Slot.OVERDRAFT)


def cents(amount: Floats | float) -> Ints:
    return np.rint(np.asarray(amount) * 100).astype(np.int64)


def annuity(principal: Ints, rate: Floats, term: Ints) -> Ints:
    """Monthly instalment in cents that repays `principal` in `term` months."""
    monthly = rate / 12
    factor = monthly / (1 - (1 + monthly) ** -np.maximum(term, 1))
    return np.rint(principal * factor).astype(np.int64)


def savings_amount(bank: Bank, who: Ints) -> Floats:
    """Expected first amount (currency units) on a savings account."""
    return 0.35 * bank.people.wealth[who]


def deposit_amount(bank: Bank, who: Ints) -> Floats:
    return 0.9 * bank.people.wealth[who] ** 0.95 + 1_500


def fund_amount(bank: Bank, who: Ints) -> Floats:
    return 0.8 * bank.people.wealth[who] + 500


def wealth_amount(bank: Bank, who: Ints) -> Floats:
    return 0.7 * bank.people.wealth[who] + 1_000


def wealth_fee(invested: Floats, term: Ints) -> Floats:
    """Taken from the proceeds when `invested` matures after `term` months."""
    return WEALTH_YEARLY_FEE * term / 12 * invested


def mortgage_amount(bank: Bank, who: Ints) -> Floats:
    return 12 * 3.6 * bank.income[who] * (bank.people.wealth[who] / 7_000).clip(0.3, 8) ** 0.2


def consumer_amount(bank: Bank, who: Ints) -> Floats:
    return 4.8 * bank.income[who] * np.exp(0.2 * bank.people.affinity[who, Slot.CONSUMER_LOAN])


def card_limit(bank: Bank, who: Ints) -> Ints:
    return cents(np.ceil(1.6 * bank.income[who] / 500) * 500)


def overdraft_limit(bank: Bank, who: Ints) -> Ints:
    return cents(np.ceil(1.5 * bank.income[who] / 500) * 500)


def premium(bank: Bank, who: Ints) -> Floats:
    """Quarterly insurance premium."""
    return 0.05 * bank.income[who] + 25 + 0.002 * bank.people.wealth[who]


def loan_product(bank: Bank, who: Ints, slot: Slot) -> Ints:
    business = bank.people.firm[who] & (slot == Slot.CONSUMER_LOAN)
    return np.where(business, BUSINESS_LOAN, PRODUCT_OF_SLOT[slot])


def loan_rate(bank: Bank, who: Ints, slot: Slot) -> Floats:
    spread = 0.012 if slot == Slot.CONSUMER_LOAN else 0.002
    rate = RATE_OF_PRODUCT[loan_product(bank, who, slot)] + spread * bank.people.risk[who]
    return np.round(rate.clip(0.03, 0.14), 4)


def _shares(bank: Bank, who: Ints) -> Ints:
    """The partner who uses the customer's current account, -1 for none."""
    partner = bank.people.partner[who]
    joint = (partner >= 0) & (bank.people.home[partner] == who)
    return np.where(joint, partner, -1)


def _authorise(bank: Bank, who: Ints, rng: np.random.Generator) -> Ints:
    """One account in forty has an authorised person: the next customer, not a holder already."""
    other = (who + 2) % bank.people.size
    allowed = (rng.random(len(who)) < 0.025) & (bank.people.joined[other] < 0)
    return np.where(allowed, other, -1)


def initial_portfolio(bank: Bank, rng: np.random.Generator) -> None:
    """The initial customers' products at the start of the history, as after years of operation."""
    people, accounts = bank.people, bank.accounts
    there = np.flatnonzero(bank.alive)
    wealth = np.log(people.wealth / 7_000)
    age = people.age(FIRST_DAY)
    own = people.home == np.arange(people.size)

    def past(who: Ints, longest: float = 1.0) -> Ints:
        """Opening days between the customer's first day and the start, recent ones likelier."""
        span = FIRST_DAY - 1 - people.since[who]
        return FIRST_DAY - 1 - np.rint(span * longest * rng.beta(1, 1.6, len(who))).astype(int)

    who = there[own[there]]
    income = bank.income[who]
    balance = cents((people.buffer[who].clip(0.05) * income) * np.exp(rng.normal(0, 0.4, len(who))))
    accounts.open(
        who, PRODUCT_OF_SLOT[Slot.CURRENT], people.since[who], -1, people.branch[who],
        joint=_shares(bank, who), authorised=_authorise(bank, who, rng), balance=balance,
    )  # fmt: skip

    def takers(slot: Slot, logit: Floats) -> Ints:
        wish = logit + 0.8 * people.affinity[:, slot]
        chosen = rng.random(people.size) < 1 / (1 + np.exp(-wish))
        chosen &= ~people.firm | (slot not in OF_PERSONS)
        return there[chosen[there]]

    def branch_of(who: Ints) -> Ints:
        return people.branch[who]

    who = takers(Slot.SAVINGS, 0.15 + 0.6 * wealth)
    amount = 0.75 * people.wealth[who] * np.exp(rng.normal(0, 0.5, len(who)))
    accounts.open(
        who, PRODUCT_OF_SLOT[Slot.SAVINGS], past(who), -1, branch_of(who),
        balance=bank.in_savings(who, cents(amount)),
    )  # fmt: skip

    who = takers(Slot.TERM_DEPOSIT, -2.3 + 0.8 * wealth)
    code = rng.choice(TERM_DEPOSITS, len(who), p=[0.2, 0.4, 0.25, 0.15])
    term = TERM_OF_PRODUCT[code]
    left = 1 + (rng.random(len(who)) * term).astype(int)
    opened = _months_before(left, term, people.payday[who])
    fits = opened > people.since[who]
    who, code, left, opened = who[fits], code[fits], left[fits], opened[fits]
    amount = deposit_amount(bank, who) * np.exp(rng.normal(0, 0.5, len(who)))
    accounts.open(
        who, code, opened, -1, branch_of(who), balance=bank.in_savings(who, cents(amount)),
        matures_month=left - 1, due=people.payday[who],
    )  # fmt: skip

    who = takers(
        Slot.MORTGAGE,
        -1.3 + 0.5 * np.log(bank.income / 2_000) - ((age - 42) / 14) ** 2
        - 6.0 * ~own - 6.0 * (bank.income < 1_200),
    )  # fmt: skip
    _old_loans(bank, who, Slot.MORTGAGE, mortgage_amount(bank, who), (180, 360), rng)

    who = takers(Slot.CONSUMER_LOAN, -1.75 - 0.15 * wealth - 1.5 * (age > 68))
    _old_loans(bank, who, Slot.CONSUMER_LOAN, consumer_amount(bank, who), (24, 84), rng)

    who = takers(Slot.OVERDRAFT, np.where(people.buffer < 0, 1.5, -2.3))
    who = who[own[who]]
    limit = overdraft_limit(bank, who)
    drawn = np.minimum(cents(-people.buffer[who].clip(None, 0) * bank.income[who] * 0.8), limit)
    accounts.open(
        who, PRODUCT_OF_SLOT[Slot.OVERDRAFT], past(who), -1, branch_of(who),
        joint=_shares(bank, who), limit=limit, balance=-drawn,
    )  # fmt: skip

    who = takers(Slot.CREDIT_CARD, -1.5 + 1.2 * (people.digital - 0.5) - 1.0 * (age > 72))
    limit = card_limit(bank, who)
    monthly = 0.3 * people.card_share[who] * bank.income[who]
    drawn = np.minimum(cents(monthly / people.repays[who]), 0.85 * limit)
    accounts.open(
        who, PRODUCT_OF_SLOT[Slot.CREDIT_CARD], past(who, 0.6), -1, branch_of(who),
        limit=limit, balance=-(drawn * rng.uniform(0.5, 1.0, len(who))).astype(np.int64),
    )  # fmt: skip

    who = takers(Slot.FUND, -2.9 + 0.95 * wealth)
    accounts.open(who, PRODUCT_OF_SLOT[Slot.FUND], past(who), -1, branch_of(who))
    bank.funds[who] = cents(fund_amount(bank, who) * np.exp(rng.normal(0, 0.6, len(who))))

    who = takers(Slot.INSURANCE, -1.9 + 0.4 * (bank.household != np.arange(people.size)))
    _insure(bank, who, past(who), -1, rng)

    who = there[people.trader[there]]
    accounts.open(who, PRODUCT_OF_SLOT[Slot.PAYMENTS], past(who), -1, branch_of(who))

    who = takers(Slot.WEALTH, -2.7 + 0.8 * wealth)
    code = _wealth_product(who, rng)
    term = TERM_OF_PRODUCT[code]
    left = 1 + (rng.random(len(who)) * term).astype(int)
    opened = _months_before(left, term, people.payday[who])
    fits = opened > people.since[who]
    who, code, left, opened = who[fits], code[fits], left[fits], opened[fits]
    amount = wealth_amount(bank, who) * np.exp(rng.normal(0, 0.5, len(who)))
    accounts.open(
        who, code, opened, -1, branch_of(who), principal=cents(amount),
        matures_month=left - 1, due=people.payday[who],
    )  # fmt: skip


def _wealth_product(who: Ints, rng: np.random.Generator) -> Ints:
    return rng.choice(WEALTH_PRODUCTS, len(who), p=[SIX_MONTHS_SHARE, 1 - SIX_MONTHS_SHARE])


def _months_before(left: Ints, term: Ints, day: Ints) -> Ints:
    """Opening days of deposits that mature in `left - 1` months on `day` after `term` months."""
    index = left - 1 - term
    start = np.array([month(int(offset)).start for offset in index], dtype=np.int64)
    return start + day - 1


def _old_loans(
    bank: Bank,
    who: Ints,
    slot: Slot,
    amount: Floats,
    terms: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    term = 12 * rng.integers(terms[0] // 12, terms[1] // 12 + 1, len(who))
    elapsed = (rng.random(len(who)) * term * 0.95).astype(int) + 1
    latest = (FIRST_DAY - bank.people.since[who]) // 31
    elapsed = np.minimum(np.minimum(elapsed, latest), 200)
    fits = elapsed >= 1
    who, term, elapsed, amount = who[fits], term[fits], elapsed[fits], amount[fits]
    principal = cents(np.round(amount * np.exp(rng.normal(0, 0.4, len(who))), -2).clip(500))
    rate = loan_rate(bank, who, slot)
    instalment = annuity(principal, rate, term)
    growth = (1 + rate / 12) ** elapsed
    outstanding = principal * growth - instalment * (growth - 1) / (rate / 12)
    keep = outstanding > instalment
    start = np.array([month(-int(months)).start for months in elapsed], dtype=np.int64)
    bank.accounts.open(
        who[keep], loan_product(bank, who[keep], slot),
        (start + rng.integers(0, 28, len(who)))[keep], -1,
        bank.people.branch[who[keep]], rate=rate[keep], term=term[keep],
        principal=principal[keep], instalment=instalment[keep],
        due=(bank.people.payday[who[keep]] + 3),
        joint=_shares(bank, who[keep]) if slot in SHARED else -1,
        balance=-np.rint(outstanding[keep]).astype(np.int64),
    )  # fmt: skip


def _insure(
    bank: Bank, who: Ints, opened: Ints, opened_month: int, rng: np.random.Generator
) -> Ints:
    quarterly = cents(premium(bank, who) * np.exp(rng.normal(0, 0.4, len(who))))
    return bank.accounts.open(
        who, PRODUCT_OF_SLOT[Slot.INSURANCE], opened, opened_month, bank.people.branch[who],
        # The account's instalment holds the premium; the commission is a share of it.
        instalment=quarterly, principal=np.rint(COMMISSION_SHARE * quarterly).astype(np.int64),
    )  # fmt: skip


def welcome(bank: Bank, step: Step) -> None:
    """Customers who join this month open a current account and bring some money."""
    people, rng, this = bank.people, step.rng, step.month
    new = people.joined == this.index
    bank.alive |= new
    who = np.flatnonzero(new & (people.home == np.arange(people.size)))
    day = people.since[who] - this.start + 1
    account = bank.accounts.open(
        who, PRODUCT_OF_SLOT[Slot.CURRENT], people.since[who], this.index, people.branch[who],
        joint=_shares(bank, who), authorised=_authorise(bank, who, rng),
    )  # fmt: skip
    first = cents(0.4 * bank.income[who] * np.exp(rng.normal(0, 0.5, len(who))))
    step.bookings.add(account, day, first, "deposit", "branch")
    who = np.flatnonzero(new & people.trader)
    bank.accounts.open(
        who, PRODUCT_OF_SLOT[Slot.PAYMENTS], people.since[who], this.index, people.branch[who]
    )


def open_planned(bank: Bank, step: Step) -> None:
    """Open the products planned for this month, unless the customer is leaving or holds one."""
    for planned in bank.plans.pop(step.month.index, []):
        bank.planned[planned.customer, planned.slot] = False
        day = np.minimum(planned.day, step.month.days)
        for slot in Slot:
            chosen = (
                (planned.slot == slot)
                & bank.alive[planned.customer]
                & ~step.closing[planned.customer]
                & (bank.accounts.held[planned.customer, slot] < 0)
                & (bank.current_of(planned.customer) >= 0)
            )
            who = planned.customer[chosen]
            if not len(who):
                continue
            account = take_product(bank, step, slot, who, day[chosen])
            campaign = planned.campaign[chosen]
            answer = campaign != ORGANIC
            if answer.any():
                step.responses.append(
                    (
                        campaign[answer],
                        who[answer],
                        step.month.start + day[chosen][answer] - 1,
                        account[answer],
                    )
                )


def take_product(bank: Bank, step: Step, slot: Slot, who: Ints, day: Ints) -> Ints:
    """Open the product of `slot` for customers on days of the month, with its first bookings."""
    rng, this, book = step.rng, step.month, step.bookings
    people, accounts = bank.people, bank.accounts
    product = PRODUCT_OF_SLOT[slot]
    opened, branch = this.start + day - 1, people.branch[who]
    noise = np.exp(rng.normal(0, 0.45, len(who)))
    outside = rng.integers(1, len(BANKS), len(who))
    current = bank.current_of(who)
    if slot == Slot.SAVINGS:
        account = accounts.open(who, product, opened, this.index, branch)
        amount = bank.in_savings(who, cents(savings_amount(bank, who) * noise))
        book.add(account, day, amount, "transfer_in", "online", outside, people.employer[who])
    elif slot == Slot.TERM_DEPOSIT:
        code = rng.choice(TERM_DEPOSITS, len(who), p=[0.2, 0.4, 0.25, 0.15])
        account = accounts.open(
            who, code, opened, this.index, branch, due=day.clip(1, 28),
            matures_month=this.index + TERM_OF_PRODUCT[code],
        )  # fmt: skip
        # Part of the money is new, part comes from the bank's own savings account.
        saved = accounts.held[who, Slot.SAVINGS]
        old = (saved >= 0) & (accounts["opened_month"][saved] < this.index)
        moved = np.where(old, 0.4 * np.maximum(accounts["balance"][saved], 0), 0).astype(np.int64)
        amount = bank.in_savings(who, cents(0.7 * deposit_amount(bank, who) * noise))
        book.add(account, day, amount, "transfer_in", "online", outside, people.employer[who])
        book.transfer(saved, account, day, moved, "branch")
    elif slot in LOANS:
        house = slot == Slot.MORTGAGE
        amount = mortgage_amount(bank, who) if house else consumer_amount(bank, who)
        principal = cents(np.round((amount * noise).clip(500), -2))
        term = 12 * rng.integers(15 if house else 2, 31 if house else 8, len(who))
        rate = loan_rate(bank, who, slot)
        account = accounts.open(
            who, loan_product(bank, who, slot), opened, this.index, branch, rate=rate, term=term,
            principal=principal, instalment=annuity(principal, rate, term),
            due=people.payday[who] + 3,
            joint=_shares(bank, who) if slot in SHARED else -1,
        )  # fmt: skip
        book.add(account, day, -principal, "loan_payout", "branch")
        grant = np.rint(principal * (MORTGAGE_GRANT_FEE if house else CONSUMER_GRANT_FEE))
        book.add(account, day, -grant.astype(np.int64), "fee", "system")
        if not house:
            book.add(current, day, principal, "loan_payout", "system")
            spent = (0.85 * principal).astype(np.int64)
            book.add(current, step.later(day), -spent, "transfer_out", "online", outside, 4_711)
    elif slot == Slot.FUND:
        account = accounts.open(who, product, opened, this.index, branch)
        amount = cents(fund_amount(bank, who) * noise)
        _buy_fund(bank, step, who, account, day, amount)
    elif slot == Slot.WEALTH:
        code = _wealth_product(who, rng)
        amount = cents(wealth_amount(bank, who) * noise)
        account = accounts.open(
            who, code, opened, this.index, branch, due=day.clip(1, 28), principal=amount,
            matures_month=this.index + TERM_OF_PRODUCT[code],
        )  # fmt: skip
        book.add(account, day, amount, "transfer_in", "online", outside, people.employer[who])
        book.add(account, day, -amount, "purchase", "online")
    elif slot == Slot.INSURANCE:
        account = _insure(bank, who, opened, this.index, rng)
    elif slot == Slot.CREDIT_CARD:
        account = accounts.open(
            who, product, opened, this.index, branch, limit=card_limit(bank, who)
        )
    elif slot == Slot.OVERDRAFT:
        account = accounts.open(
            who, product, opened, this.index, branch, limit=overdraft_limit(bank, who),
            joint=_shares(bank, who),
        )  # fmt: skip
    else:
        raise ValueError(f"{slot.name} is not taken up on its own")
    return account


def _buy_fund(bank: Bank, step: Step, who: Ints, account: Ints, day: Ints, amount: Ints) -> None:
    """Money from another bank buys units; the fund account itself stays at zero."""
    fee = np.rint(FUND_ENTRY_FEE * amount).astype(np.int64)
    book = step.bookings
    outside = step.rng.integers(1, len(BANKS), len(who))
    book.add(account, day, amount, "transfer_in", "online", outside, bank.people.employer[who])
    book.add(account, day, fee - amount, "purchase", "online")
    book.add(account, day, -fee, "fee", "system")
    bank.funds[who] += amount - fee


def top_up_funds(bank: Bank, step: Step) -> None:
    """Markets move the funds; one holder in thirty buys more."""
    rng = step.rng
    market = rng.normal(0.004, 0.02)
    bank.funds *= np.exp(market + rng.normal(0, 0.01, bank.people.size))
    account = bank.accounts.held[:, Slot.FUND]
    old = (account >= 0) & (bank.accounts["opened_month"][account] < step.month.index)
    old &= bank.alive & ~step.closing & (bank.leaving == 0)
    who = np.flatnonzero(old & (rng.random(bank.people.size) < 0.03))
    day = rng.integers(1, 27, len(who))
    amount = np.rint(0.12 * bank.funds[who]).astype(np.int64) + 10_000
    _buy_fund(bank, step, who, account[who], day, amount)


def _maturing(bank: Bank, step: Step, slot: Slot) -> tuple[Ints, Ints, Ints]:
    """Customers whose account of the slot matures this month, the accounts and the days."""
    held = bank.accounts.held[:, slot]
    due = held >= 0
    due[due] = bank.accounts["matures_month"][held[due]] == step.month.index
    due &= ~step.closing
    who = np.flatnonzero(due)
    return who, held[who], bank.accounts["due"][held[who]].astype(np.int64)


def _renew(bank: Bank, step: Step, who: Ints, old: Ints, day: Ints) -> tuple[Ints, Ints]:
    """Close matured accounts; most customers open the same again. Who does, and those accounts."""
    accounts, this = bank.accounts, step.month
    keeps = (step.rng.random(len(who)) < RENEWAL_RATE) & (bank.leaving[who] == 0)
    accounts.close(old, this.start + day - 1)
    code, again = accounts["product"][old[keeps]], who[keeps]
    fresh = accounts.open(
        again, code, this.start + day[keeps] - 1, this.index, bank.people.branch[again],
        due=day[keeps], matures_month=this.index + TERM_OF_PRODUCT[code],
    )  # fmt: skip
    return keeps, fresh


def redeem_wealth(bank: Bank, step: Step) -> None:
    """Wealth products due this month pay back what was invested with its return, less the fee; most
    of it is invested again, the rest goes to other banks."""
    accounts, book = bank.accounts, step.bookings
    who, old, day = _maturing(bank, step, Slot.WEALTH)
    invested, term = accounts["principal"][old], accounts["term"][old]
    proceeds = np.rint(invested * (1 + WEALTH_YEARLY_RETURN * term / 12)).astype(np.int64)
    fee = np.rint(wealth_fee(invested, term)).astype(np.int64)
    book.add(old, day, proceeds, "sale", "system")
    book.add(old, day, -fee, "fee", "system")
    rest = proceeds - fee
    keeps, fresh = _renew(bank, step, who, old, day)
    accounts["principal"][fresh] = rest[keeps]
    book.transfer(old[keeps], fresh, day[keeps], rest[keeps], "system")
    book.add(fresh, day[keeps], -rest[keeps], "purchase", "system")
    out = ~keeps
    outside = step.rng.integers(1, len(BANKS), int(out.sum()))
    book.add(old[out], day[out], -rest[out], "transfer_out", "online", outside, 880_000 + who[out])


def mature_deposits(bank: Bank, step: Step) -> None:
    """Term deposits due this month pay their interest; most are renewed, others paid out."""
    accounts, this, book = bank.accounts, step.month, step.bookings
    who, old, day = _maturing(bank, step, Slot.TERM_DEPOSIT)
    balance = accounts["balance"][old]
    interest = np.rint(balance * accounts["rate"][old] * (day - 1) / 365 + accounts["accrued"][old])
    interest = interest.astype(np.int64)
    accounts["accrued"][old] = 0
    book.add(old, day, interest, "interest_paid", "system")
    payout = balance + interest
    keeps, fresh = _renew(bank, step, who, old, day)
    book.transfer(old[keeps], fresh, day[keeps], payout[keeps], "system")
    out = ~keeps
    saved = accounts.held[who[out], Slot.SAVINGS]
    usable = (saved >= 0) & (accounts["opened_month"][saved] < this.index)
    target = np.where(usable, saved, bank.current_of(who[out]))
    fresh_current = accounts["opened_month"][target] == this.index
    book.transfer(
        old[out], target, np.where(fresh_current, this.days, day[out]), payout[out], "system",
        received=np.where(usable, payout[out], bank.from_savings(who[out], payout[out])),
    )  # fmt: skip


def close_customers(bank: Bank, step: Step) -> None:
    """Leaving customers settle and close all accounts on one day; other banks take the loans."""
    accounts, this, book = bank.accounts, step.month, step.bookings
    going = np.zeros(bank.people.size, dtype=np.int64)
    going[:] = step.rng.integers(3, 27, bank.people.size)
    going = going[bank.people.home]
    mine = (accounts["closed"] == 0) & step.closing[accounts["customer"]]
    account = np.flatnonzero(mine)
    day = going[accounts["customer"][account]]
    balance = accounts["balance"][account]
    slot = accounts["slot"][account]
    rate = accounts["rate"][account].copy()
    # Credit cards are settled interest-free; defaulted loans bear no interest.
    rate[(slot == Slot.CREDIT_CARD) | (accounts["defaulted_month"][account] >= 0)] = 0
    interest = np.rint(balance * rate * (day - 1) / 365 + accounts["accrued"][account])
    interest = interest.astype(np.int64)
    paid, charged = interest > 0, interest < 0
    book.add(account[paid], day[paid], interest[paid], "interest_paid", "system")
    book.add(account[charged], day[charged], interest[charged], "interest_charged", "system")
    rest = balance + interest
    outside = step.rng.integers(1, len(BANKS), len(account))
    positive = rest > 0
    book.add(account[positive], day[positive], -rest[positive], "transfer_out", "branch",
             outside[positive], account[positive])  # fmt: skip
    loan = (rest < 0) & np.isin(slot, LOANS)
    book.add(account[loan], day[loan], -rest[loan], "loan_repayment", "branch",
             outside[loan], account[loan])  # fmt: skip
    other = (rest < 0) & ~loan
    book.add(account[other], day[other], -rest[other], "deposit", "branch")
    accounts["accrued"][account] = 0
    accounts.close(account, this.start + day - 1)
    bank.alive &= ~step.closing
    bank.funds[step.closing] = 0
    bank.planned[step.closing] = False
