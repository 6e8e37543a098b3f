"""The hidden truth: the expected contribution of each customer over the next twelve months.

A forward expectation from the state and traits at the end of a month, month by month, without
random draws: two loyalty states (loyal, leaving) with their closing rates, balances that change
with their hidden drifts, loans that amortise, deposits that mature, products that will be taken.
Defaults follow a chain of employment, ability to pay and arrears, and for current accounts that pay
loans a chain on a grid of positions.
It uses the value layer's definition of contribution (margin against a transfer price + fees
- activity cost - expected loss) with the economics of `products`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sources.synthetic.cashflows import (
    BUSINESS_COST,
    GIVE_UP,
    REVERSION,
    RUN_OFF,
    SAVING_RATE,
    SEASON,
    WAGES,
    WRITE_OFF_AFTER,
    fund_exit,
)
from sources.synthetic.life import (
    CLOSE_RATE,
    DISTRESS_END,
    EARLY_REPAYMENT,
    FADING_PACE,
    FADING_RATE,
    LAPSE_RATE,
    MISS_RATE,
    MORTGAGE_MISS_RATE,
    REDRAWN_DRIFT,
    complaint_factor,
    distress_hazard,
    leave_hazard,
    wish_hazard,
)
from sources.synthetic.life import RETURN_RATE as RETURN
from sources.synthetic.openings import (
    RENEWAL_RATE,
    SHARED,
    SIX_MONTHS_SHARE,
    card_limit,
    consumer_amount,
    deposit_amount,
    fund_amount,
    loan_product,
    mortgage_amount,
    overdraft_limit,
    premium,
    savings_amount,
    wealth_amount,
    wealth_fee,
)
from sources.synthetic.population import SELF_EMPLOYED, STUDENT, Flags, Floats, Ints
from sources.synthetic.products import (
    CARD_YEARLY_FEE,
    CHANNEL_COST,
    COMMISSION_SHARE,
    CONSUMER_GRANT_FEE,
    FUND_ENTRY_FEE,
    FUND_YEARLY_FEE,
    LATE_PENALTY,
    LOANS,
    MAINTENANCE_COST,
    MERCHANT_FEE,
    MORTGAGE_GRANT_FEE,
    PD_BY_ARREARS,
    PRODUCT_OF_SLOT,
    PRODUCTS,
    QUARTERLY_FEE,
    RATE_OF_PRODUCT,
    SLOTS,
    TRANSFER_PRICE_OF_PRODUCT,
    UNARRANGED_PENALTY,
    UNARRANGED_RATE,
    Slot,
)
from sources.synthetic.state import Bank

HORIZON = 12
# What money without an agreed term costs the bank.
REVOLVING_PRICE = float(TRANSFER_PRICE_OF_PRODUCT[PRODUCT_OF_SLOT[Slot.CREDIT_CARD]])
STOPPED_AFTER = 3
# As `life` and `cashflows` draw them.
DISMISSAL_RATE = 0.05  # times the local unemployment and e^(0.3 risk)
HIRE_RATE = 0.13
STRAIN = 6.0  # distress is so much likelier out of work
BENEFIT = 0.45  # of the income
ARRIVAL = 0.85  # probability of a month's income that is neither salary nor pension
SPENDING_NOISE = 0.15
SHORTFALL = -2.5  # monthly incomes on the current account below which loans are not paid
RENT_UNPAID = -1.5
MISS_RATES = {Slot.MORTGAGE: MORTGAGE_MISS_RATE, Slot.CONSUMER_LOAN: MISS_RATE}
# Positions of a current account above the shortfall, in what its users take in a month; the
# shortfall lies in the middle between two of them.
STEP = 0.25
POSITIONS = STEP * (np.arange(-10, 24) + 0.5)
SHORT = int((POSITIONS < 0).sum())


@dataclass(frozen=True)
class Expectation:
    """At the end of a month, for every customer of the bank; closed or not yet joined: 0.

    `attrition_hazard` and `default_hazard` are the constant monthly probabilities that give the
    expectation's twelve-month probability.
    """

    contribution: Floats  # currency units
    attrition_hazard: Floats
    default_hazard: Floats


def _margin(slot: Slot) -> float:
    """Yearly interest margin on the slot's balance, positive for the bank."""
    code = PRODUCT_OF_SLOT[slot]
    return abs(float(RATE_OF_PRODUCT[code] - TRANSFER_PRICE_OF_PRODUCT[code]))


def _loss_rate(slot: Slot) -> float:
    """Yearly expected loss on a good exposure."""
    return PD_BY_ARREARS[0] * PRODUCTS[PRODUCT_OF_SLOT[slot]].loss_given_default


def expect(bank: Bank, month_index: int, days: int, purchases: float) -> Expectation:
    """The expectation at the end of month `month_index` (its length in `days`)."""
    people, alive = bank.people, bank.alive
    value, closed, defaulted = expect_by_slot(bank, month_index, days, purchases)
    total = value.sum(axis=1)
    # Joint accounts belong to both holders in equal parts.
    partner = people.partner
    joint = (partner >= 0) & (people.home[partner] == np.arange(people.size))
    common = 0.5 * value[:, list(SHARED)].sum(axis=1) * joint
    total -= common
    total[partner[joint]] += common[joint]
    return Expectation(
        contribution=np.where(alive, total, 0.0),
        attrition_hazard=np.where(alive, _monthly(closed), 0.0),
        default_hazard=np.where(alive, _monthly(defaulted), 0.0),
    )


def expect_by_slot(
    bank: Bank, month_index: int, days: int, purchases: float
) -> tuple[Floats, Floats, Floats]:
    """(customers, slots) contribution of the owner's accounts, held or to come; and the
    twelve-month probabilities to have left and to have defaulted."""
    people, accounts = bank.people, bank.accounts
    size = people.size
    held = accounts.held
    holds = held >= 0

    def of(slot: Slot, column: str) -> Floats:
        values = np.zeros(size)
        values[holds[:, slot]] = accounts[column][held[holds[:, slot], slot]]
        return values

    in_state, closed = loyalty(bank)
    value = np.zeros((size, SLOTS))
    share_left = [stays + goes for stays, goes in in_state]

    # Current account and overdraft line: the position returns to its usual level, and the income
    # that arrives on payday and is spent through the month lies there in between.
    everyday = _everyday(bank, days, purchases)
    position = bank.position() / 100
    target = people.buffer * bank.income
    spread = 0.35 * bank.income + 0.1 * np.abs(target)
    limit = of(Slot.OVERDRAFT, "limit") / 100
    pace = 1 - REVERSION
    current = holds[:, Slot.CURRENT]
    gone = np.where(bank.leaving > 0, position.clip(0), 0.0)
    for h in range(HORIZON):
        stays, goes = in_state[h]
        middle = target + (position - target) * pace ** (h + 0.7)
        z = middle / spread
        density, below = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi), _normal(z)
        positive = middle * below + spread * density
        negative = np.maximum(positive - middle, 0)
        drawn = np.minimum(negative, limit)
        bare = negative - drawn
        margin = _margin(Slot.CURRENT) * (positive + everyday.float_balance).clip(0)
        margin += (UNARRANGED_RATE - REVOLVING_PRICE) * bare * 0.5
        lent = _margin(Slot.OVERDRAFT) - _loss_rate(Slot.OVERDRAFT)
        often = _normal((20 - middle - limit) / spread)
        fees = everyday.fees + np.where(often > 0.02, UNARRANGED_PENALTY * often * 0.7, 0)
        gone = gone * (1 - RUN_OFF) * 0.95
        busy = np.where(bank.leaving > 0, 0.4 * 0.9**h, 0.5)
        value[:, Slot.CURRENT] += current * (
            stays * (margin / 12 + fees - everyday.cost)
            + goes * (_margin(Slot.CURRENT) * np.where(gone > 0, gone, positive * 0.5) / 12)
            + goes * (fees * 0.8 - busy * everyday.cost)
            - (stays + goes) * MAINTENANCE_COST["deposits"]
        )
        value[:, Slot.OVERDRAFT] += (
            holds[:, Slot.OVERDRAFT] * (stays + 0.6 * goes) * (lent * drawn / 12)
            - holds[:, Slot.OVERDRAFT] * (stays + goes) * MAINTENANCE_COST["lending"]
        )

    # Savings: the drift lasts until its next draw; leavers withdraw the balance.
    saved = of(Slot.SAVINGS, "balance") / 100 * bank.worth(bank.closing_rate)
    there = np.where(bank.leaving > 0, 0.0, saved)
    away = np.where(bank.leaving > 0, saved, 0.0)
    start_leaving = leave_hazard(bank)[people.home]
    deposit = _deposit_path(bank, month_index, in_state)
    for h in range(HORIZON):
        weight = (1 - REDRAWN_DRIFT) ** h
        drift = weight * bank.drift + (1 - weight) * 0.003
        grows = np.where(there + away > 0, 1.0, 0.0)
        change = drift * (there + 2 * bank.income * grows * (bank.leaving == 0))
        change = np.maximum(change, -0.4 * SAVING_RATE * there)
        there = there + change + grows * (0.0025 * 1.1 * people.wealth - 0.0055 * 0.65 * there)
        flow = there * np.minimum(start_leaving * _rankles(bank, h), 0.3)
        back = away * RETURN
        there = there - flow + back + holds[:, Slot.SAVINGS] * deposit.paid_out[h]
        away = (away - back) * (1 - CLOSE_RATE) * (1 - 0.6 * 0.2) + flow
        value[:, Slot.SAVINGS] += _margin(Slot.SAVINGS) * (there + away).clip(0) / 12
        value[:, Slot.SAVINGS] -= (
            holds[:, Slot.SAVINGS]
            * share_left[h]
            * (MAINTENANCE_COST["deposits"] + 0.02 * SAVING_RATE + 0.01)
        )
    value[:, Slot.TERM_DEPOSIT] = deposit.value

    shortfall = _shortfall(bank, month_index, purchases, in_state)
    defaulted = np.zeros(size)
    borrows = holds[:, list(LOANS)].any(axis=1)
    for slot in LOANS:
        debt = _debt(bank, slot)
        path = _default_path(bank, slot, share_left, shortfall, debt)
        value[:, slot] = _loan_value(bank, slot, month_index, share_left, debt, path)
        # Distressed customers miss both loans' instalments, the consumer loan's more often.
        counts = holds[:, slot] | (~borrows & (slot == Slot.CONSUMER_LOAN))
        defaulted = np.maximum(defaulted, path.probability * counts)

    owed = -of(Slot.CREDIT_CARD, "balance") / 100
    card_limits = of(Slot.CREDIT_CARD, "limit") / 100
    revolves = people.repays < 1
    rate = np.where(revolves, 0.18 - REVOLVING_PRICE, -REVOLVING_PRICE) - _loss_rate(
        Slot.CREDIT_CARD
    )
    monthly_use = everyday.budget * people.card_share * everyday.by_card * 0.45
    for h in range(HORIZON):
        stays, goes = in_state[h]
        use = np.minimum(monthly_use, 0.5 * (card_limits - owed).clip(0))
        # A transactor's purchases stand for the half month before the statement, then until paid.
        average = np.where(revolves, owed + 0.3 * use, 0.55 * owed + 0.5 * use)
        owed = owed * (1 - people.repays) + use
        alike = stays + 0.6 * goes
        value[:, Slot.CREDIT_CARD] += holds[:, Slot.CREDIT_CARD] * (
            alike * (rate * average / 12 + CARD_YEARLY_FEE / 12 - 0.05)
            - (stays + goes) * MAINTENANCE_COST["cards"]
        )

    funds = bank.funds / 100
    out = fund_exit(bank)
    topped = 0.03 * (0.12 * funds + 100) * FUND_ENTRY_FEE * (bank.leaving == 0)
    for h in range(HORIZON):
        factor = share_left[h] * (1 - out) ** (h + 1) * 1.0065 ** (h + 0.5)
        value[:, Slot.FUND] += (
            holds[:, Slot.FUND]
            * factor
            * (FUND_YEARLY_FEE * funds / 12 + topped - MAINTENANCE_COST["wealth"] - 0.02)
        )

    fee = wealth_fee(of(Slot.WEALTH, "principal") / 100, of(Slot.WEALTH, "term"))
    for due, left, renewed in _terms(bank, Slot.WEALTH, month_index, in_state):
        # A renewal opens another account in the same month.
        upkeep = MAINTENANCE_COST["wealth"] * np.where(due, 1 + renewed, 1.0)
        value[:, Slot.WEALTH] += holds[:, Slot.WEALTH] * left * (due * (fee - 0.08) - upkeep)

    commission = of(Slot.INSURANCE, "principal") / 100
    turnover = bank.turnover / 100 * bank.engagement
    for h in range(HORIZON):
        value[:, Slot.INSURANCE] += (
            holds[:, Slot.INSURANCE]
            * share_left[h]
            * ((1 - LAPSE_RATE) ** (h + 0.5) * (commission / 3 - MAINTENANCE_COST["agency"] - 0.01))
        )
        faded = np.where(bank.fading, 1.0, 1 - (1 - FADING_RATE) ** (h + 1))
        trend = (
            faded * FADING_PACE * np.where(bank.fading, 1.0, 0.5) + (1 - faded) * people.expansion
        )
        sales = turnover * np.exp(trend * (h + 1))
        sales = np.where(sales > 0.6 * GIVE_UP / 100, sales, 0.0)
        value[:, Slot.PAYMENTS] += holds[:, Slot.PAYMENTS] * (
            (in_state[h][0] + 0.6 * in_state[h][1])
            * (MERCHANT_FEE * sales + 9.0 - MAINTENANCE_COST["payments"] - 0.08)
        )

    value += _products_to_come(bank, month_index, share_left)
    value[~bank.alive] = 0
    return value, closed, defaulted


def _monthly(probability: Floats) -> Floats:
    return 1 - (1 - probability.clip(0, 1)) ** (1 / HORIZON)


def _normal(z: Floats) -> Floats:
    """Standard normal distribution function (logistic approximation, error below 0.01)."""
    return 1 / (1 + np.exp(-1.702 * np.clip(z, -30, 30)))


def _rankles(bank: Bank, ahead: int) -> Floats:
    """A complaint's factor `ahead` months on; new complaints come at their mean rate."""
    fresh = 1 + 0.004 * 6 * 3
    return np.maximum(complaint_factor(bank.upset > ahead + 1), fresh)


def loyalty(bank: Bank) -> tuple[list[tuple[Floats, Floats]], Floats]:
    """Probabilities to be loyal and to be leaving in the middle of each month ahead; and to have
    closed by the end of the last."""
    start = leave_hazard(bank)
    stays = np.where(bank.leaving > 0, 0.0, 1.0)
    goes = 1 - stays
    # A customer who uses the partner's current account leaves with the partner.
    home = bank.people.home
    middle: list[tuple[Floats, Floats]] = []
    for h in range(HORIZON):
        begin = stays * np.minimum(start * _rankles(bank, h), 0.3)
        after_stays = stays - begin + RETURN * goes
        after_goes = goes * (1 - RETURN) * (1 - CLOSE_RATE) + begin
        middle.append((((stays + after_stays) / 2)[home], ((goes + after_goes) / 2)[home]))
        stays, goes = after_stays, after_goes
    return middle, (1 - stays - goes)[home]


@dataclass(frozen=True)
class Everyday:
    float_balance: Floats  # income waiting to be spent, average over the month
    budget: Floats  # spent a month
    by_card: Floats  # share of the purchases made by card
    fees: Floats  # a month
    cost: Floats  # of activity a month


def _everyday(bank: Bank, days: int, purchases: float) -> Everyday:
    """The flows of a current account in an ordinary month, for all its users together."""
    people = bank.people
    due = bank.instalments() / 100
    income = bank.income * np.where(bank.unemployed, 0.45, np.where(people.domiciled, 1.0, 0.4))
    elsewhere = ~people.domiciled & ~bank.unemployed
    income = np.where(elsewhere, np.maximum(income, due + people.rent / 100), income) * bank.alive
    budget = np.maximum(income - due - people.rent / 100, 0.12 * income)
    resting = income * ((days - people.payday) / days) - budget * 0.5
    resting -= (income - budget) * ((days - people.payday - 2) / days)
    # A firm's wages leave two days after its revenue; it pays suppliers by transfer only.
    resting += people.firm * WAGES * income * 2 / days
    digital, person = people.digital, ~people.firm
    desk, cash = person * 0.25 * (1 - digital) ** 2, person * 0.2 * (1 - 0.5 * digital)
    by_card = person * (0.5 + 0.1 * digital)
    rest = 1 - desk - cash - by_card
    price = CHANNEL_COST
    each = (
        desk * price["branch"]
        + cash * price["atm"]
        + by_card * price["card"]
        + rest * (digital * price["mobile"] + (1 - digital) * price["online"])
    )
    partly = ~people.domiciled | np.isin(bank.occupation, (SELF_EMPLOYED, STUDENT))
    deposits = partly * 0.85 * 0.5 * (1 - digital) * price["branch"]
    cost = purchases * people.intensity * bank.engagement * each + deposits + 0.05
    cost += people.firm * price["online"]
    fee = people.fee_rate * np.exp(3.1 + 0.5)
    waived = people.domiciled & (bank.income > 2_600)
    home, users = people.home, bank.alive

    def together(values: Floats) -> Floats:
        total = np.bincount(home, weights=values * users, minlength=people.size)
        return np.asarray(total, dtype=np.float64)

    return Everyday(
        float_balance=together(resting),
        budget=budget,
        by_card=by_card,
        fees=together(fee) + np.where(waived, 0, QUARTERLY_FEE / 3),
        cost=together(cost),
    )


def _terms(
    bank: Bank, slot: Slot, month_index: int, in_state: list[tuple[Floats, Floats]]
) -> Iterator[tuple[Flags, Floats, Floats]]:
    """By month ahead: which accounts with a term mature, the probability that they are still held,
    and the share renewed."""
    size = bank.people.size
    account = bank.accounts.held[:, slot]
    some = account >= 0
    ahead, term = np.full(size, 99), np.ones(size, dtype=int)
    ahead[some] = bank.accounts["matures_month"][account[some]] - month_index - 1
    term[some] = np.maximum(bank.accounts["term"][account[some]], 1)
    kept = np.ones(size)
    for h, (stays, goes) in enumerate(in_state):
        left = stays + goes
        due = some & (ahead == h)
        renewed = np.where(due, RENEWAL_RATE * stays / np.maximum(left, 1e-9), 1.0)
        yield due, left * kept, renewed
        kept = kept * renewed
        ahead = np.where(due, h + term, ahead)


@dataclass(frozen=True)
class DepositPath:
    value: Floats
    paid_out: list[Floats]  # to the savings account, by month ahead


def _deposit_path(
    bank: Bank, month_index: int, in_state: list[tuple[Floats, Floats]]
) -> DepositPath:
    size = bank.people.size
    account = bank.accounts.held[:, Slot.TERM_DEPOSIT]
    some = account >= 0
    balance, margin = np.zeros(size), np.zeros(size)
    mine = account[some]
    product = bank.accounts["product"][mine]
    balance[some] = bank.accounts["balance"][mine] / 100
    balance *= bank.worth(bank.closing_rate)
    margin[some] = TRANSFER_PRICE_OF_PRODUCT[product] - RATE_OF_PRODUCT[product]
    value = np.zeros(size)
    paid_out = []
    for due, left, renewed in _terms(bank, Slot.TERM_DEPOSIT, month_index, in_state):
        paid_out.append(np.where(due, balance * left * (1 - renewed), 0.0))
        value += margin * balance * left * np.where(due, 0.5 + 0.5 * renewed, 1.0) / 12
        value -= some * left * (MAINTENANCE_COST["deposits"] + 0.01)
    return DepositPath(value, paid_out)


@dataclass(frozen=True)
class Debt:
    """A loan by month ahead, by its schedule."""

    owed: list[Floats]  # from today to the last month's end, currency units
    runs: list[Floats]  # probability that it is not repaid before


def _debt(bank: Bank, slot: Slot) -> Debt:
    """Without a loan of the slot: one that does not end."""
    account = bank.accounts.held[:, slot]
    some = account >= 0
    mine = account[some]
    debt, rate, instalment = (np.zeros(bank.people.size) for _ in range(3))
    debt[some] = -bank.accounts["balance"][mine] / 100
    rate[some] = bank.accounts["rate"][mine]
    instalment[some] = bank.accounts["instalment"][mine] / 100
    early = some * EARLY_REPAYMENT / (1 if slot == Slot.CONSUMER_LOAN else 6)
    owed, runs = [debt], []
    for h in range(HORIZON):
        runs.append((1 - early) ** (h + 0.5) * (~some | (debt > 0)))
        debt = np.where(debt <= 1.02 * instalment, 0.0, debt * (1 + rate / 12) - instalment)
        owed.append(debt)
    return Debt(owed, runs)


@dataclass(frozen=True)
class Purse:
    """Income and spending of each customer in a month, (customers,), in currency units."""

    income: Floats
    arrives: Floats  # probability of the income
    sales: Floats  # of a trader, less the business's cost
    due: Floats  # loans
    unpaid: Floats  # of it when the account is short
    rent: Floats
    card: Floats  # repaid to the credit card
    buys: Floats  # probability to spend anything
    by_card: Floats  # probability that it goes to the credit card
    going: Floats  # probability to be leaving
    season: float


def _purses(
    bank: Bank, month_index: int, purchases: float, in_state: list[tuple[Floats, Floats]]
) -> Iterator[Purse]:
    """The months ahead."""
    people = bank.people
    due, rent = bank.instalments() / 100, people.rent / 100
    unpaid = np.zeros(people.size)
    for slot, miss_rate in MISS_RATES.items():
        owner = np.flatnonzero(bank.holds(slot))
        loan = bank.accounts.held[owner, slot]
        good = bank.accounts["defaulted_month"][loan] < 0
        # A customer who pays again also pays the overdue amounts.
        unpaid[owner] += max(2 * miss_rate - 1, 0) * good * bank.accounts["instalment"][loan] / 100
    irregular = np.isin(bank.occupation, (SELF_EMPLOYED, STUDENT)) | ~people.domiciled
    usual = np.where(irregular, np.where(people.domiciled, 0.9, 0.45), 1.0) * bank.income
    usual = np.maximum(usual, irregular * 1.15 * (due + rent))
    bonus = people.bonus & ~irregular & ~bank.retired
    sales = (1 - MERCHANT_FEE - BUSINESS_COST) * bank.turnover / 100 * bank.engagement - 9
    sales = np.where(bank.holds(Slot.PAYMENTS), sales.clip(0), 0.0)
    by_card = 0.45 * people.card_share * (0.5 + 0.1 * people.digital) * bank.holds(Slot.CREDIT_CARD)
    owed = (-bank.balance_in(Slot.CREDIT_CARD) / 100).clip(0)
    engagement, leaving = bank.engagement, bank.leaving
    for h in range(HORIZON):
        of_year = (month_index + 1 + h) % 12
        leaving = np.where(leaving > 0, leaving + 1, 0)
        engagement = np.where(
            leaving > 0, np.maximum(0.8 * engagement, 0.1), engagement + 0.4 * (1 - engagement)
        )
        stays, goes = in_state[h]
        going = (leaving > 0) * goes / np.maximum(stays + goes, 1e-9)
        idle = np.where(bank.unemployed, (1 - HIRE_RATE) ** (h + 1), 0.0)
        income = idle * BENEFIT * bank.income + (1 - idle) * usual
        income = income * np.where(bonus & (of_year == 10), 1.8, 1.0)
        income = income * (1 - going * (people.stops_salary & (leaving >= STOPPED_AFTER)))
        card = np.minimum(np.maximum(people.repays * owed, 25), owed)
        budget = income + sales - due - rent - card
        owed = owed - card + by_card * np.maximum(0.12 * income, budget)
        yield Purse(
            income=income,
            arrives=np.where(irregular | bank.unemployed, ARRIVAL, 1.0),
            sales=sales,
            due=due,
            unpaid=unpaid,
            rent=rent,
            card=card,
            buys=np.minimum(
                purchases * people.intensity * engagement * np.sqrt(SEASON[of_year]), 1.0
            ),
            by_card=by_card,
            going=going,
            season=SEASON[of_year],
        )


@dataclass(frozen=True)
class Tills:
    """Current accounts that loans are paid from, each with its grid of positions."""

    owner: Ints
    partner: Ints  # who uses the account, too; -1 nobody
    unit: Floats  # currency units its users take in a month
    grid: Floats  # (tills, positions), in units
    housed: Flags  # (tills, positions): the rent is paid
    back: Floats  # (tills, positions): what each user's budget gives for the usual level
    charged: Floats  # (tills, positions): interest and penalties
    position: Floats  # today, above the shortfall

    def next_month(self, mass: Floats, purse: Purse) -> tuple[Floats, Floats]:
        """Probabilities (tills, positions) a month on; and (tills,) of those short before, how
        much is so again."""
        after, again = np.zeros_like(mass), np.zeros(len(mass))
        for shared in (False, True):
            rows = np.flatnonzero((self.partner >= 0) == shared)
            users = [self.owner[rows], self.partner[rows]] if shared else [self.owner[rows]]
            drift = self.charged[rows] - RUN_OFF * purse.going[users[0], None] * self.grid[
                rows
            ].clip(0)
            each = [list(self._outcomes(purse, user, rows)) for user in users]
            for together in itertools.product(*each):
                chance = np.prod([outcome[0] for outcome in together], axis=0)
                some = np.flatnonzero(chance > 0)
                if not len(some):
                    continue
                change = drift[some] + np.sum([outcome[1][some] for outcome in together], axis=0)
                noise = np.sqrt(np.sum([outcome[2][some] ** 2 for outcome in together], axis=0))
                mine = rows[some]
                signs = (-1, 1) if noise.any() else (0,)
                flow = chance[some, None] * mass[mine] / len(signs)
                for sign in signs:
                    target = POSITIONS + change + sign * noise
                    after[mine] += _put_down(flow, target)
                    short = (SHORT - _place(target[:, :SHORT])).clip(0, 1)
                    again[mine] += (flow[:, :SHORT] * short).sum(axis=1)
        return after, again

    def _outcomes(
        self, purse: Purse, user: Ints, rows: Ints
    ) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Probability (rows,), change of the position and its deviation (rows, positions) of a
        month with or without the income, with or without spending from the account."""
        unit = self.unit[rows, None]
        outgo = (purse.card + purse.due)[user, None] + purse.rent[user, None] * self.housed[rows]
        outgo = (outgo - purse.unpaid[user, None] * (POSITIONS < 0)) / unit
        spends = purse.buys[user] * (1 - purse.by_card[user])
        for arrives in (1, 0):
            inflow = (purse.sales + arrives * purse.income)[user, None] / unit
            left = inflow - outgo
            budget = purse.season * np.maximum(0.12 * inflow, left + self.back[rows])
            budget /= np.maximum(purse.buys[user], 0.4)[:, None]
            spent = np.where(budget * unit > 10, budget, 0.0)
            chance = purse.arrives[user] if arrives else 1 - purse.arrives[user]
            yield chance * spends, left - spent, SPENDING_NOISE * spent
            yield chance * (1 - spends), left, np.zeros_like(spent)


def _tills(bank: Bank, purse: Purse) -> Tills:
    people = bank.people
    owner = np.unique(people.home[bank.alive & (purse.due > 0)])
    owner = owner[bank.holds(Slot.CURRENT)[owner]]
    partner = people.partner[owner]
    shared = (partner >= 0) & (people.home[partner] == owner) & bank.alive[partner]
    taken = bank.income + purse.sales
    unit = taken[owner] + np.where(shared, taken[partner], 0.0)
    income = bank.income[owner] / unit
    grid = POSITIONS + SHORTFALL * income[:, None]
    line = bank.accounts.held[owner, Slot.OVERDRAFT]
    limit = np.where(line >= 0, bank.accounts["limit"][line] / 100 / unit, 0.0)
    beyond = grid < -limit[:, None]
    back = REVERSION * (grid - (people.buffer[owner] * income)[:, None])
    return Tills(
        owner=owner,
        partner=np.where(shared, partner, -1),
        unit=unit,
        grid=grid,
        housed=grid > RENT_UNPAID * income[:, None],
        back=back / np.where(shared, 2, 1)[:, None],
        charged=UNARRANGED_RATE / 12 * grid.clip(None, 0)
        - beyond * (UNARRANGED_PENALTY / unit)[:, None],
        position=bank.position()[owner] / 100 / unit - SHORTFALL * income,
    )


def _place(position: Floats) -> Floats:
    """Where positions lie among `POSITIONS`, as fractional indices."""
    place = (position - POSITIONS[0]) / STEP
    return np.asarray(place.clip(0, len(POSITIONS) - 1 - 1e-9), dtype=np.float64)


def _put_down(mass: Floats, position: Floats) -> Floats:
    """(rows, positions): mass (rows, n) at any positions, shared by the nearest two of the grid."""
    place = _place(position)
    below = place.astype(np.int64)
    share = place - below
    below += len(POSITIONS) * np.arange(len(mass))[:, None]
    size = len(mass) * len(POSITIONS)
    result = np.bincount(below.ravel(), ((1 - share) * mass).ravel(), size)
    result += np.bincount(below.ravel() + 1, (share * mass).ravel(), size)
    return np.asarray(result.reshape(len(mass), len(POSITIONS)), dtype=np.float64)


@dataclass(frozen=True)
class Shortfall:
    """By month ahead, for every customer: probability that the current account in use is too far
    overdrawn to pay loans from; 0 where nobody pays one from it."""

    begins: list[Floats]  # when it was not so in the month before
    stays: list[Floats]  # when it was


def _shortfall(
    bank: Bank, month_index: int, purchases: float, in_state: list[tuple[Floats, Floats]]
) -> Shortfall:
    """Computed on a grid of positions, since rare months matter: customers who seldom buy spend
    much at once, mostly in December, and half of the defaults begin this way."""
    purses = list(_purses(bank, month_index, purchases, in_state))
    tills = _tills(bank, purses[0])
    row = np.full(bank.people.size, len(tills.owner))
    row[tills.owner] = np.arange(len(tills.owner))

    def of_users(chance: Floats) -> Floats:
        return np.append(chance.clip(0, 1), 0.0)[row[bank.people.home]]

    # An instalment depends on the previous month's position; the first on today's.
    was = (tills.position < 0).astype(np.float64)
    begins, stays = [of_users(was)], [of_users(was)]
    mass = _put_down(np.ones((len(was), 1)), tills.position[:, None])
    for h, purse in enumerate(purses[:-1]):
        mass, again = tills.next_month(mass, purse)
        then = mass[:, :SHORT].sum(axis=1)
        # Today's position is known, not spread over the grid.
        again = np.where(was > 0, then, 0.0) if h == 0 else again
        begins.append(of_users((then - again) / np.maximum(1 - was, 1e-9)))
        stays.append(of_users(again / np.maximum(was, 1e-9)))
        was = then
    return Shortfall(begins, stays)


@dataclass(frozen=True)
class DefaultPath:
    """By month ahead: probabilities of arrears (0, 30, 60 days) and default, given not closed but
    for write-offs."""

    arrears: list[Floats]  # each (4, customers)
    falls: list[Floats]  # newly in default
    probability: Floats  # to have defaulted; who leaves or repays before does not


def _default_path(
    bank: Bank, slot: Slot, share_left: list[Floats], shortfall: Shortfall, debt: Debt
) -> DefaultPath:
    """A chain of employment, ability to pay and arrears. A customer without a loan has the path of
    a hypothetical loan, without the effect of a current account overdrawn by loans: it ranks
    potential borrowers."""
    size = bank.people.size
    miss_rate = MISS_RATES[slot]
    account = bank.accounts.held[:, slot]
    some = account >= 0
    step, bad = np.zeros(size, dtype=int), np.zeros(size, dtype=bool)
    step[some] = np.minimum(bank.accounts["past_due"][account[some]] // 30, 2)
    bad[some] = bank.accounts["defaulted_month"][account[some]] >= 0
    anywhere = bank.in_default()

    idle = bank.unemployed
    works = ~idle & ~bank.retired & (bank.occupation != STUDENT) & ~bank.people.firm
    local = bank.places.unemployment[bank.district]
    dismissed = works * DISMISSAL_RATE * local * np.exp(0.3 * bank.people.risk)
    strain = distress_hazard(bank) / np.where(idle, STRAIN, 1.0)
    hazard = np.stack([strain, np.minimum(STRAIN * strain, 0.3)])[:, None]
    # Customers with another loan in default do not recover.
    heals = np.where(anywhere, 0.0, DISTRESS_END)

    # Pays, distressed, short on the current account; by out of work, arrears, customer.
    state = np.zeros((3, 2, 3, size))
    state[bank.distress.astype(int), idle.astype(int), step, np.arange(size)] = ~bad
    probability = np.zeros(size)
    falls: list[Floats] = []
    path = []
    for h in range(HORIZON):
        net = state[:, 0] * dismissed - state[:, 1] * HIRE_RATE
        state[:, 0] -= net
        state[:, 1] += net
        pays, distressed, short = state
        begins = shortfall.begins[h]
        falling, healing = pays * hazard, distressed * heals
        able, ill = pays - falling + healing, distressed - healing + falling
        ends = (1 - shortfall.stays[h]) * short
        pays = able * (1 - begins) + ends * heals
        unable = np.stack([ill * (1 - begins) + ends * (1 - heals), short - ends])
        unable[1] += (able + ill) * begins
        missed = unable * miss_rate
        unable -= missed
        falls.append(missed[:, :, 2].sum(axis=(0, 1)))
        # Customers in arrears do not repay early: the loan must run at the first missed instalment.
        probability += falls[h] * share_left[h] * debt.runs[max(h - 2, 0)]
        state = np.zeros_like(state)
        state[0, :, 0], state[0, :, 1] = pays[:, 0] + pays[:, 1], pays[:, 2]
        state[1:, :, 0] = unable[:, :, 0] + unable[:, :, 1]
        state[1:, :, 1] = unable[:, :, 2] + missed[:, :, 0]
        state[1:, :, 2] = missed[:, :, 1]
        default = np.sum(falls[-WRITE_OFF_AFTER:], axis=0)
        path.append(np.vstack([state.sum(axis=(0, 1)), default]))
    # Customers in default do not default again.
    return DefaultPath(path, falls, np.where(anywhere, 0.0, probability))


def _loan_value(
    bank: Bank,
    slot: Slot,
    month_index: int,
    share_left: list[Floats],
    debt: Debt,
    defaulting: DefaultPath,
) -> Floats:
    size = bank.people.size
    account = bank.accounts.held[:, slot]
    some = account >= 0
    rate, since = np.zeros(size), np.full(size, -1)
    rate[some] = bank.accounts["rate"][account[some]]
    since[some] = bank.accounts["defaulted_month"][account[some]]
    loss = PRODUCTS[PRODUCT_OF_SLOT[slot]].loss_given_default
    price = float(TRANSFER_PRICE_OF_PRODUCT[PRODUCT_OF_SLOT[slot]])
    value = np.zeros(size)
    for h in range(HORIZON):
        arrears = defaulting.arrears[h]
        performing = arrears[:3].sum(axis=0)
        average = (debt.owed[h] + debt.owed[h + 1]) / 2
        # A loan already in default stays so until it is written off; the others follow the path.
        exposure = np.where(since >= 0, debt.owed[0], average)
        in_default = np.where(since >= 0, since + WRITE_OFF_AFTER > month_index + 1 + h, arrears[3])
        # A default is provided for in its month; collections make up for the rest, on average.
        lost = np.where(
            since < 0,
            np.array(PD_BY_ARREARS[:3]) @ arrears[:3] / 12 + defaulting.falls[h],
            0.0,
        )
        value += (share_left[h] * debt.runs[h]) * (
            (performing * rate - (performing + in_default) * price) * exposure / 12
            - loss * lost * exposure
            + LATE_PENALTY * (arrears[1] + arrears[2]) * (since < 0)
            - (MAINTENANCE_COST["lending"] + 0.03) * (exposure > 0)
        )
    return np.where(some, value, 0.0)


def worth_of_products(bank: Bank, everyone: Ints) -> tuple[Floats, Floats]:
    """(customers, slots): what a product taken now brings, each month and once, currency units."""
    monthly, upfront = np.zeros(bank.planned.shape), np.zeros(bank.planned.shape)
    mean_noise = float(np.exp(0.5 * 0.45**2))

    def set_value(slot: Slot, each_month: Floats | float, once: Floats | float = 0.0) -> None:
        monthly[:, slot] = each_month
        upfront[:, slot] = once

    costs = MAINTENANCE_COST
    amount = mean_noise * savings_amount(bank, everyone)
    set_value(Slot.SAVINGS, _margin(Slot.SAVINGS) * amount / 12 - costs["deposits"])
    amount = mean_noise * 0.7 * deposit_amount(bank, everyone)
    set_value(Slot.TERM_DEPOSIT, 0.0045 * amount / 12 - costs["deposits"])
    for slot, size, fee in (
        (Slot.MORTGAGE, mortgage_amount(bank, everyone), MORTGAGE_GRANT_FEE),
        (Slot.CONSUMER_LOAN, consumer_amount(bank, everyone), CONSUMER_GRANT_FEE),
    ):
        amount = mean_noise * size
        code = loan_product(bank, everyone, slot)
        margin = RATE_OF_PRODUCT[code] - TRANSFER_PRICE_OF_PRODUCT[code] - _loss_rate(slot)
        set_value(slot, 0.95 * margin * amount / 12 - costs["lending"], fee * amount - 6)
    drawn = np.minimum((-bank.position() / 100).clip(0), overdraft_limit(bank, everyone) / 100)
    set_value(Slot.OVERDRAFT, _margin(Slot.OVERDRAFT) * drawn / 12 - costs["lending"])
    people = bank.people
    use = 0.35 * people.card_share * bank.income
    owed = np.where(
        people.repays < 1,
        np.minimum(use / people.repays, 0.6 * card_limit(bank, everyone) / 100) * 0.6,
        0.0,
    )
    set_value(Slot.CREDIT_CARD, 0.148 * owed / 12 + 1.0 - costs["cards"])
    amount = mean_noise * fund_amount(bank, everyone)
    set_value(
        Slot.FUND, FUND_YEARLY_FEE * amount / 12 - costs["wealth"], FUND_ENTRY_FEE * amount - 4
    )
    # The fee of six months; those of twelve come after the horizon.
    amount = SIX_MONTHS_SHARE * mean_noise * wealth_amount(bank, everyone)
    set_value(Slot.WEALTH, -costs["wealth"], wealth_fee(amount, np.array(6)))
    set_value(
        Slot.INSURANCE, COMMISSION_SHARE * premium(bank, everyone) * 1.08 / 3 - costs["agency"]
    )
    return monthly, upfront


def _products_to_come(bank: Bank, month_index: int, share_left: list[Floats]) -> Floats:
    """(customers, slots): products planned, or wished for at some month ahead."""
    monthly, upfront = worth_of_products(bank, np.arange(bank.people.size))
    wish = wish_hazard(bank)
    result = np.zeros(wish.shape)
    # What a product brings once comes when it is opened; of a wealth product, half a year later.
    paid_from = np.full(SLOTS, 2)
    paid_from[Slot.WEALTH] += 6
    for h in range(HORIZON):
        left = share_left[h][:, None]
        # A wish of month k opens two months later on average: it is there from k + 2 on.
        months_held = max(h - 1.5, 0.0)
        begun = (1 - wish) ** np.maximum(h - paid_from, 0) * (h >= paid_from)
        result += left * wish * begun * upfront
        result += left * wish * months_held * monthly
    for months, plans in bank.plans.items():
        if months <= month_index:
            continue
        for plan in plans:
            wait = months - month_index - 1
            held_for = max(HORIZON - wait - 0.5, 0.0)
            survive = share_left[min(wait + 4, HORIZON - 1)][plan.customer]
            worth = upfront[plan.customer, plan.slot] + held_for * monthly[plan.customer, plan.slot]
            np.add.at(result, (plan.customer, plan.slot), survive * worth)
    return result
