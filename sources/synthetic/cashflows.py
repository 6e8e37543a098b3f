"""The regular bookings of a month: income, spending, instalments, cards, fees, interest."""

from __future__ import annotations

import numpy as np

from sources.synthetic.bookings import BANKS, CHANNEL, KIND
from sources.synthetic.life import (
    EARLY_REPAYMENT,
    LAPSE_RATE,
    MISS_RATE,
    MORTGAGE_MISS_RATE,
)
from sources.synthetic.openings import cents
from sources.synthetic.population import SELF_EMPLOYED, STUDENT, Flags, Floats, Ints
from sources.synthetic.products import (
    CARD_YEARLY_FEE,
    FUND_YEARLY_FEE,
    LATE_PENALTY,
    LOANS,
    MERCHANT_FEE,
    QUARTERLY_FEE,
    UNARRANGED_PENALTY,
    UNARRANGED_RATE,
    Slot,
)
from sources.synthetic.state import Bank, Step

SEASON = (0.86, 0.88, 0.97, 1.0, 1.0, 1.02, 1.08, 1.06, 0.97, 1.0, 1.1, 1.34)
REVERSION = 0.25  # share of the gap to the usual balance that one month's spending closes
SAVING_RATE = 0.35  # months in which a saver moves money
WRITE_OFF_AFTER = 6
COLLECTED = 0.55  # of a defaulted debt, on average
COLLECTED_SPREAD = 0.25
RUN_OFF = 0.12
BUSINESS_COST = 0.85
WAGES = 1.5  # of a firm's net revenue
GIVE_UP = 40_000  # cents of monthly sales at which a shop returns its terminal


def book_regular(bank: Bank, step: Step, purchases: float) -> None:
    """All regular bookings; `purchases` is the mean number of purchases a customer a month."""
    people, accounts, book, rng = bank.people, bank.accounts, step.bookings, step.rng
    everyone = np.arange(people.size)
    current = bank.current_of(everyone)
    active = bank.alive & (people.joined < step.month.index) & (current >= 0)
    stopped = (bank.leaving >= 3) & people.stops_salary
    position = bank.position()
    season = SEASON[step.month.of_year - 1]

    inflow = _income(bank, step, active & ~stopped, current)
    inflow += _merchant_sales(bank, step, active, current, season)
    outgo = _repay_loans(bank, step, active, position)
    outgo += _standing_orders(bank, step, active & ~stopped, current, position)
    outgo += _repay_cards(bank, step, active, current)
    outgo += _premiums(bank, step, active, current)
    outgo += _save(bank, step, active, current, position)
    _one_off_fees(bank, step, active, current)
    _leave_funds(bank, step, active)

    target = 100 * people.buffer * bank.income
    gap = (position - target)[people.home] / np.maximum(bank.members(), 1)[people.home]
    budget = np.maximum(0.12 * inflow, inflow - outgo + REVERSION * gap)
    budget *= season * np.exp(rng.normal(0, 0.15, people.size))
    rate = purchases * people.intensity * bank.engagement * np.sqrt(season)
    # At least one purchase if the rate allows it: customers who seldom buy spend more at once, so
    # that money does not accumulate.
    often = np.minimum(rate, 1.0)
    times = (rng.random(people.size) < often) + rng.poisson(np.maximum(rate - 1, 0))
    budget /= np.maximum(often, 0.4)
    times = np.where(active & (budget > 1_000), times, 0)
    _spend(bank, step, current, budget, times)

    runs = np.flatnonzero(active & (bank.leaving > 0) & (people.home == everyone))
    runs = runs[position[runs] > 40_000]
    gone = (RUN_OFF * position[runs]).astype(np.int64)
    book.add(current[runs], 20, -gone, "transfer_out", "online",
             rng.integers(1, len(BANKS), len(runs)), people.employer[runs])  # fmt: skip
    assert accounts["closed"][current[active]].max(initial=0) == 0


def book_month_end(bank: Bank, step: Step) -> None:
    """Overdraft sweeps, fees and interest on the last day, the interest last."""
    accounts, book, this = bank.accounts, step.bookings, step.month
    people = bank.people
    opening = accounts["balance"]
    old = (accounts["closed"] == 0) & (accounts["opened_month"] < this.index)

    def old_accounts(slot: Slot) -> Ints:
        return np.flatnonzero(old & (accounts["slot"] == slot))

    line = old_accounts(Slot.OVERDRAFT)
    current = bank.current_of(accounts["customer"][line])
    line, current = line[current >= 0], current[current >= 0]
    now = opening + book.net(accounts.size)
    draw = np.minimum(-now[current], accounts["limit"][line] + now[line])
    book.transfer(line, current, this.days, np.maximum(draw, 0), "system")
    back = np.minimum(now[current], -now[line])
    book.transfer(current, line, this.days, np.maximum(back, 0), "system",
                  ("transfer_out", "loan_repayment"))  # fmt: skip

    current = old_accounts(Slot.CURRENT)
    now = opening + book.net(accounts.size)
    negative = current[now[current] < -2_000]
    book.add(negative, this.days, -cents(UNARRANGED_PENALTY), "penalty", "system")
    if this.closes_quarter:
        owner = accounts["customer"][current]
        waived = people.domiciled[owner] & (bank.income[owner] > 2_600)
        pays = current[~waived]
        book.add(pays, this.days, -cents(QUARTERLY_FEE), "fee", "system")
        fund = old_accounts(Slot.FUND)
        fee = np.rint(FUND_YEARLY_FEE / 4 * bank.funds[accounts["customer"][fund]])
        fund, fee = fund[fee > 0], fee[fee > 0].astype(np.int64)
        book.add(fund, this.days, fee, "sale", "system")
        book.add(fund, this.days, -fee, "fee", "system")
    card = old_accounts(Slot.CREDIT_CARD)
    opened = accounts["opened"][card].astype("datetime64[D]").astype("datetime64[M]")
    anniversary = opened.astype(np.int64) % 12 + 1 == this.of_year
    book.add(card[anniversary], this.days, -cents(CARD_YEARLY_FEE), "fee", "system")
    _interest(bank, step)


def _interest(bank: Bank, step: Step) -> None:
    """Act/365 on the day balances. Current accounts are credited by the quarter, term deposits of
    up to a year at maturity."""
    accounts, book, this = bank.accounts, step.bookings, step.month
    day_sum = book.day_sum(this.days, accounts["balance"])
    slot = accounts["slot"]
    is_open = accounts["closed"] == 0
    rate = accounts["rate"].copy()
    current = slot == Slot.CURRENT
    rate[current & (day_sum < 0)] = UNARRANGED_RATE
    pays_card_off = (slot == Slot.CREDIT_CARD) & (bank.people.repays[accounts["customer"]] >= 1)
    rate[pays_card_off | (accounts["defaulted_month"] >= 0)] = 0
    due = np.where(is_open, day_sum * rate / 365, 0)
    at_maturity = (slot == Slot.TERM_DEPOSIT) & (accounts["term"] <= 12)
    credited = is_open & (current | at_maturity) & (day_sum >= 0)
    accounts["accrued"][credited] += due[credited]
    due[credited] = 0
    if this.closes_quarter or this.index == 0:
        owed = is_open & current
        due[owed] += np.floor(accounts["accrued"][owed])
        accounts["accrued"][owed] -= np.floor(accounts["accrued"][owed])
    interest = np.rint(due).astype(np.int64)
    own = np.flatnonzero(is_open & (slot == Slot.TERM_DEPOSIT) & ~at_maturity)
    step.accruals = own, interest[own]
    paid, charged = np.flatnonzero(interest > 0), np.flatnonzero(interest < 0)
    book.add(paid, this.days, interest[paid], "interest_paid", "system")
    book.add(charged, this.days, interest[charged], "interest_charged", "system")
    if this.index == 0:
        # Only a booking's balance_after shows an account's opening balance: an account without
        # bookings in the first month gets an interest booking of 0.
        silent = np.flatnonzero(is_open & (accounts["balance"] != 0) & ~book.touched(accounts.size))
        book.add(silent, this.days, 0, "interest_paid", "system")


def _income(bank: Bank, step: Step, receives: Flags, current: Ints) -> Floats:
    """Salaries, pensions, other income, and revenue of firms less wages; cents by customer."""
    people, rng, book = bank.people, step.rng, step.bookings
    size = people.size
    works = ~bank.unemployed & ~bank.retired
    own = (bank.occupation == SELF_EMPLOYED) | (bank.occupation == STUDENT)
    amount = 100 * bank.income * rng.normal(1, np.where(people.firm, 0.1, 0.01), size)
    salary = receives & works & people.domiciled & ~own
    pension = receives & bank.retired & people.domiciled
    amount = np.where(salary & people.bonus & (step.month.of_year == 11), 1.8 * amount, amount)
    amount = np.where(bank.unemployed, 0.45 * amount, amount)
    partly = receives & ~salary & ~pension
    share = np.where(people.domiciled, 0.9, 0.45)
    # Customers with income elsewhere transfer at least their instalments and rent here.
    needs = 1.15 * (bank.instalments() + people.rent)
    amount = np.where(partly & ~bank.unemployed, np.maximum(share * amount, needs), amount)
    arrives = salary | pension | (partly & (rng.random(size) < 0.85))
    inflow = np.where(arrives, np.rint(amount), 0)
    cash = partly & (rng.random(size) < 0.5 * (1 - people.digital))
    kind = np.select(
        [salary & ~people.firm, pension, cash],
        [KIND["salary"], KIND["pension"], KIND["deposit"]],
        KIND["transfer_in"],
    )
    channel = np.where(cash, CHANNEL["branch"], CHANNEL["system"])
    wages = np.rint(np.where(people.firm, WAGES * inflow, 0))
    who = np.flatnonzero(arrives)
    book.add(
        current[who], people.payday[who], (inflow + wages)[who].astype(np.int64), kind[who],
        channel[who],
        np.where(cash[who], -1, 1 + people.employer[who] % (len(BANKS) - 1)),
        np.where(cash[who], -1, 500_000 + people.employer[who]),
    )  # fmt: skip
    who = np.flatnonzero(wages)
    book.add(
        current[who], people.payday[who] + 2, -wages[who].astype(np.int64), "transfer_out",
        "online", 1 + who % (len(BANKS) - 1), 300_000 + who,
    )  # fmt: skip
    return inflow


def _merchant_sales(bank: Bank, step: Step, active: Flags, current: Ints, season: float) -> Floats:
    """A trader's card sales arrive on the payments account and are passed on less the fee."""
    accounts, rng, book = bank.accounts, step.rng, step.bookings
    account = accounts.held[:, Slot.PAYMENTS]
    trades = active & (account >= 0)
    trades[trades] = accounts["opened_month"][account[trades]] < step.month.index
    who = np.flatnonzero(trades)
    noise = np.exp(rng.normal(0, 0.12, len(who)))
    sales = np.rint(bank.turnover[who] * season * noise * bank.engagement[who]).astype(np.int64)
    fee = np.rint(MERCHANT_FEE * sales).astype(np.int64) + 900
    day = rng.integers(15, 26, len(who))
    inflow = np.zeros(bank.people.size)
    book.add(account[who], day, sales, "sale", "system")
    book.add(account[who], day, -fee, "fee", "system")
    # A deficit from a fee above the sales is settled from the next sales.
    net = accounts["balance"][account[who]] + sales - fee
    some = net > 0
    book.transfer(account[who], current[who], day, net, "system")
    cost = np.rint(BUSINESS_COST * sales).astype(np.int64)
    book.add(current[who][some], day[some] + 1, -cost[some], "transfer_out", "online",
             rng.integers(1, len(BANKS), int(some.sum())), who[some])  # fmt: skip
    inflow[who] = np.where(some, net - cost, 0)
    given_up = (bank.turnover[who] < GIVE_UP) & some
    accounts.close(account[who[given_up]], step.month.start + 26)
    return inflow


def _repay_loans(bank: Bank, step: Step, active: Flags, position: Floats) -> Floats:
    """Instalments, arrears, defaults, write-offs and settlements; returns cents paid."""
    accounts, rng, book, this = bank.accounts, step.rng, step.bookings, step.month
    loan = np.isin(accounts["slot"], LOANS) & (accounts["closed"] == 0)
    account = np.flatnonzero(loan & (accounts["opened_month"] < this.index))
    owner = accounts["customer"][account]
    current = bank.current_of(owner)
    account, owner, current = account[active[owner]], owner[active[owner]], current[active[owner]]
    debt = -accounts["balance"][account]
    due = accounts["due"][account].astype(np.int64)
    outgo = np.zeros(bank.people.size)

    bad_since = accounts["defaulted_month"][account]
    lost = (bad_since >= 0) & (this.index - bad_since >= WRITE_OFF_AFTER)
    # Part of the debt is collected, the rest written off: shares spread around the expected part.
    collected = np.rint(debt * (COLLECTED + COLLECTED_SPREAD * (account * 7 % 11 / 5 - 1)))
    collected = collected.astype(np.int64)
    book.add(account[lost], 15, collected[lost], "loan_repayment", "system")
    book.add(account[lost], 15, (debt - collected)[lost], "write_off", "system")
    accounts.close(account[lost], this.start + 14)

    good = bad_since < 0
    broke = position[bank.people.home[owner]] < -250 * bank.income[bank.people.home[owner]]
    bank.distress[owner[broke & good]] = True
    missed = good & bank.distress[owner]
    # Customers pay mortgages first.
    miss_rate = np.where(accounts["slot"][account] == Slot.MORTGAGE, MORTGAGE_MISS_RATE, MISS_RATE)
    missed &= rng.random(len(account)) < miss_rate
    late = account[missed]
    accounts["past_due"][late] += 30
    book.add(late, due[missed] + 5, -cents(LATE_PENALTY), "penalty", "system")
    fallen = late[accounts["past_due"][late] >= 90]
    accounts["defaulted_month"][fallen] = this.index

    pays = good & ~missed
    behind = accounts["past_due"][account] > 0
    amount = accounts["instalment"][account] * np.where(behind, 2, 1)
    accounts["past_due"][account[pays & behind]] -= 30
    early = rng.random(len(account)) < np.where(
        accounts["slot"][account] == Slot.CONSUMER_LOAN, EARLY_REPAYMENT, EARLY_REPAYMENT / 6
    )
    early &= pays & ~behind
    final = pays & (early | (debt <= 1.02 * amount))
    interest = np.rint(debt * accounts["rate"][account] * (due - 1) / 365).astype(np.int64)
    charged = final & (interest > 0)
    book.add(account[charged], due[charged], -interest[charged], "interest_charged", "system")
    amount = np.where(final, debt + interest, amount)
    usual = pays & ~early
    book.transfer(
        current[usual], account[usual], due[usual], amount[usual], "standing_order",
        ("loan_repayment", "loan_repayment"),
    )  # fmt: skip
    book.add(account[early], due[early], amount[early], "loan_repayment", "branch",
             rng.integers(1, len(BANKS), int(early.sum())), account[early])  # fmt: skip
    np.add.at(outgo, owner[usual], amount[usual])
    accounts["past_due"][account[final]] = 0
    accounts.close(account[final], this.start + due[final] - 1)
    return outgo


def _standing_orders(
    bank: Bank, step: Step, pays: Flags, current: Ints, position: Floats
) -> Floats:
    people = bank.people
    rents = pays & (people.rent > 0) & (position > -150 * bank.income)
    who = np.flatnonzero(rents)
    step.bookings.add(
        current[who], people.payday[who] + 2, -people.rent[who], "transfer_out", "standing_order",
        1 + who % (len(BANKS) - 1), 900_000 + who,
    )  # fmt: skip
    return np.where(rents, people.rent, 0).astype(np.float64)


def _repay_cards(bank: Bank, step: Step, active: Flags, current: Ints) -> Floats:
    accounts, book = bank.accounts, step.bookings
    account = accounts.held[:, Slot.CREDIT_CARD]
    owes = -bank.balance_in(Slot.CREDIT_CARD)
    missed = bank.distress & (step.rng.random(bank.people.size) < MISS_RATE)
    pays = active & (account >= 0) & (owes > 0) & ~missed
    amount = np.where(pays, np.minimum(np.maximum(bank.people.repays * owes, 2_500), owes), 0)
    amount = np.rint(amount).astype(np.int64)
    who = np.flatnonzero(pays)
    book.transfer(current[who], account[who], 18, amount[who], "standing_order")
    return amount.astype(np.float64)


def _premiums(bank: Bank, step: Step, active: Flags, current: Ints) -> Floats:
    """Each quarter the premium leaves for the insurer and its commission comes back."""
    accounts, book, this = bank.accounts, step.bookings, step.month
    account = accounts.held[:, Slot.INSURANCE]
    insured = active & (account >= 0)
    insured[insured] = accounts["opened_month"][account[insured]] < this.index
    outgo = np.zeros(bank.people.size)
    who = np.flatnonzero(insured & ((account + this.index) % 3 == 0))
    amount, commission = accounts["instalment"][account[who]], accounts["principal"][account[who]]
    book.add(current[who], 6, -amount, "insurance_premium", "standing_order", 3, 777_000)
    book.add(account[who], 6, commission, "transfer_in", "system", 3, 777_000)
    book.add(account[who], 6, -commission, "fee", "system")
    outgo[who] = amount
    lapses = np.flatnonzero(insured & (step.rng.random(bank.people.size) < LAPSE_RATE))
    accounts.close(account[lapses], this.start + 27)
    return outgo


def _save(bank: Bank, step: Step, active: Flags, current: Ints, position: Floats) -> Floats:
    """Savers deposit or withdraw; windfalls and large withdrawals; leavers transfer it away."""
    accounts, book, rng = bank.accounts, step.bookings, step.rng
    people, size = bank.people, bank.people.size
    account = accounts.held[:, Slot.SAVINGS]
    saves = active & (account >= 0)
    saves[saves] = accounts["opened_month"][account[saves]] < step.month.index
    net = book.net(accounts.size)
    balance = np.zeros(size)
    balance[saves] = np.maximum((accounts["balance"] + np.minimum(net, 0))[account[saves]], 0)
    u = rng.random(size)
    wind = saves & (u < 0.0025)
    everyone = np.arange(size)
    gift = np.rint(80 * people.wealth * np.exp(rng.normal(0, 0.8, size))).astype(np.int64)
    gift = bank.in_savings(everyone, gift)
    drawn = saves & (u > 0.9945)
    leaves = saves & (bank.leaving > 0) & (rng.random(size) < 0.6) & ~drawn
    withdrawal = np.rint(balance * np.where(drawn, 0.65, 0.20)).astype(np.int64)
    outside = rng.integers(1, len(BANKS), size)
    who = np.flatnonzero(wind)
    book.add(account[who], 12, gift[who], "transfer_in", "online", outside[who], 880_000 + who)
    who = np.flatnonzero((drawn | leaves) & (withdrawal > 1_000))
    book.add(account[who], 22, -withdrawal[who], "transfer_out", "online", outside[who],
             880_000 + who)  # fmt: skip

    moves = saves & ~wind & ~drawn & (bank.leaving == 0) & (rng.random(size) < SAVING_RATE)
    balance = balance * bank.worth(bank.average_rate)
    change = bank.drift / SAVING_RATE * (balance + 200 * bank.income)
    change = change * np.exp(rng.normal(-0.08, 0.4, size)) + rng.normal(0, 0.03, size) * balance
    # Deposits are limited by the balance, withdrawals to two fifths at once.
    room = np.maximum(0.5 * position[people.home] + 30 * bank.income, 0)
    change = np.rint(np.clip(change, -0.4 * balance, room)).astype(np.int64)
    change[~moves] = 0
    saved = bank.in_savings(everyone, change)
    who = np.flatnonzero(change > 0)
    book.transfer(current[who], account[who], people.payday[who] + 1, change[who], "mobile",
                  received=saved[who])  # fmt: skip
    who = np.flatnonzero(change < 0)
    book.transfer(account[who], current[who], people.payday[who] + 1, -saved[who], "mobile",
                  received=-change[who])  # fmt: skip
    return change.astype(np.float64)


def _one_off_fees(bank: Bank, step: Step, active: Flags, current: Ints) -> None:
    """Statements, transfers abroad, valuations: rare, of uneven size, hardly repeated."""
    rng = step.rng
    times = np.where(active, rng.poisson(bank.people.fee_rate), 0)
    who = np.repeat(np.arange(len(times)), times)
    amount = cents(np.exp(rng.normal(3.1, 1.0, len(who))))
    day = rng.integers(1, step.month.days, len(who))
    step.bookings.add(current[who], day, -amount, "fee", "system")


def fund_exit(bank: Bank) -> Floats:
    """Monthly probability that a fund holder sells everything."""
    return np.where(bank.leaving > 0, 0.05, 0.006)


def _leave_funds(bank: Bank, step: Step, active: Flags) -> None:
    """Some holders sell everything, mostly leavers."""
    accounts, book = bank.accounts, step.bookings
    account = accounts.held[:, Slot.FUND]
    holds = active & (account >= 0)
    holds[holds] = accounts["opened_month"][account[holds]] < step.month.index
    # Holders who bought this month do not sell.
    holds[holds] = ~book.touched(accounts.size)[account[holds]]
    who = np.flatnonzero(holds & (step.rng.random(bank.people.size) < fund_exit(bank)))
    amount = np.rint(bank.funds[who]).astype(np.int64)
    outside = step.rng.integers(1, len(BANKS), len(who))
    book.add(account[who], 24, amount, "sale", "online")
    book.add(account[who], 25, -amount, "transfer_out", "online", outside, 880_000 + who)
    bank.funds[who] = 0
    accounts.close(account[who], step.month.start + 24)


def _spend(bank: Bank, step: Step, current: Ints, budget: Floats, times: Ints) -> None:
    """Split each budget over purchases, cash and transfers; card holders shift some of it."""
    people, accounts, rng, book = bank.people, bank.accounts, step.rng, step.bookings
    who = np.repeat(np.arange(people.size), times)
    weight = rng.gamma(2.0, 1.0, len(who)) + 0.05
    total = np.bincount(who, weights=weight, minlength=people.size)
    amount = np.maximum(np.rint(budget[who] * weight / total[who]), 1).astype(np.int64)
    day = rng.integers(1, step.month.days + 1, len(who))
    digital = people.digital[who]
    u = rng.random(len(who))
    desk, cash = 0.25 * (1 - digital) ** 2, 0.2 * (1 - 0.5 * digital)
    by_card = 0.5 + 0.1 * digital
    by_transfer = np.where(rng.random(len(who)) < digital, 3, 4)
    mode = np.select(
        # Firms pay their suppliers.
        [people.firm[who], u < desk, u < desk + cash, u < desk + cash + by_card],
        [by_transfer, 0, 1, 2],
        by_transfer,
    )
    kind = np.array(
        [
            KIND[name]
            for name in ("withdrawal", "withdrawal", "card_payment", "transfer_out", "transfer_out")
        ]
    )
    channel = np.array([CHANNEL[name] for name in ("branch", "atm", "card", "mobile", "online")])
    account = current[who]
    card = accounts.held[who, Slot.CREDIT_CARD]
    usable = (mode == 2) & (card >= 0)
    usable[usable] = accounts["opened_month"][card[usable]] < step.month.index
    headroom = accounts["limit"][card] + accounts["balance"][card]
    usable &= (rng.random(len(who)) < people.card_share[who]) & (amount < 0.5 * headroom)
    account = np.where(usable, card, account)
    outward = mode >= 3
    book.add(
        account, day, -amount, kind[mode], channel[mode],
        np.where(outward, 1 + (who + day) % (len(BANKS) - 1), -1),
        np.where(outward, 100_000 + (who * 7 + day * 131) % 90_000, -1),
    )  # fmt: skip
