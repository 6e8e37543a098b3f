"""The hidden truth: what each customer is expected to bring over the next twelve months.

A forward expectation from the state and traits at the end of a month, month by month, without
drawing anything: two loyalty states (loyal, leaving) with their closing rates, balances that move
with their hidden drifts, loans that amortise, deposits that mature, products that will be taken.
It uses the value layer's definition of contribution (margin against a transfer price + fees
- activity cost - expected loss) with the economics of `products`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestration.sources.synthetic.cashflows import (
    GIVE_UP,
    REVERSION,
    RUN_OFF,
    SAVING_RATE,
    WRITE_OFF_AFTER,
    fund_exit,
)
from orchestration.sources.synthetic.life import (
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
from orchestration.sources.synthetic.life import RETURN_RATE as RETURN
from orchestration.sources.synthetic.openings import (
    RENEWAL_RATE,
    SHARED,
    card_limit,
    consumer_amount,
    deposit_amount,
    fund_amount,
    mortgage_amount,
    overdraft_limit,
    premium,
    savings_amount,
)
from orchestration.sources.synthetic.population import SELF_EMPLOYED, STUDENT, Floats
from orchestration.sources.synthetic.products import (
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
from orchestration.sources.synthetic.state import Bank

HORIZON = 12
# What money without an agreed term costs the bank.
REVOLVING_PRICE = float(TRANSFER_PRICE_OF_PRODUCT[PRODUCT_OF_SLOT[Slot.CREDIT_CARD]])
STOPPED_AFTER = 3


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

    in_state, closed = _loyalty(bank)
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

    # Savings: the drift lasts until it is drawn anew; leavers carry the balance away.
    saved = of(Slot.SAVINGS, "balance") / 100
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

    consumer = _default_path(bank, MISS_RATE)
    house = _default_path(bank, MORTGAGE_MISS_RATE)
    for slot, path in ((Slot.CONSUMER_LOAN, consumer), (Slot.MORTGAGE, house)):
        value[:, slot] = _loan_value(bank, slot, month_index, share_left, path)
    only_house = holds[:, Slot.MORTGAGE] & ~holds[:, Slot.CONSUMER_LOAN]
    defaulted = np.where(only_house, house.probability, consumer.probability)

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


def _loyalty(bank: Bank) -> tuple[list[tuple[Floats, Floats]], Floats]:
    """Probabilities to be loyal and to be leaving in the middle of each month ahead; and to have
    closed by the end of the last."""
    start = leave_hazard(bank)
    stays = np.where(bank.leaving > 0, 0.0, 1.0)
    goes = 1 - stays
    # Who uses the partner's current account shares the partner's fate.
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
    """What happens on a current account in an ordinary month, all its users together."""
    people = bank.people
    due = bank.instalments() / 100
    income = bank.income * np.where(bank.unemployed, 0.45, np.where(people.domiciled, 1.0, 0.4))
    elsewhere = ~people.domiciled & ~bank.unemployed
    income = np.where(elsewhere, np.maximum(income, due + people.rent / 100), income) * bank.alive
    budget = np.maximum(income - due - people.rent / 100, 0.12 * income)
    resting = income * ((days - people.payday) / days) - budget * 0.5
    resting -= (income - budget) * ((days - people.payday - 2) / days)
    digital = people.digital
    desk, cash = 0.25 * (1 - digital) ** 2, 0.2 * (1 - 0.5 * digital)
    by_card = 0.5 + 0.1 * digital
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
    ahead, term = np.full(size, 99), np.ones(size)
    mine = account[some]
    product = bank.accounts["product"][mine]
    balance[some] = bank.accounts["balance"][mine] / 100
    margin[some] = TRANSFER_PRICE_OF_PRODUCT[product] - RATE_OF_PRODUCT[product]
    ahead[some] = bank.accounts["matures_month"][mine] - month_index - 1
    term[some] = np.maximum(bank.accounts["term"][mine], 1)
    value = np.zeros(size)
    kept = np.ones(size)
    paid_out = []
    for h in range(HORIZON):
        stays, goes = in_state[h]
        left = stays + goes
        due = some & (ahead == h)
        renewed = np.where(due, RENEWAL_RATE * stays / np.maximum(left, 1e-9), 1.0)
        out = np.where(due, balance * kept * (1 - renewed) * left, 0.0)
        paid_out.append(out)
        value += margin * balance * left * kept * np.where(due, 0.5 + 0.5 * renewed, 1.0) / 12
        value -= some * left * kept * (MAINTENANCE_COST["deposits"] + 0.01)
        kept = kept * renewed
        ahead = np.where(due, h + term.astype(int), ahead)
    return DepositPath(value, paid_out)


@dataclass(frozen=True)
class DefaultPath:
    """By month ahead: probabilities of arrears (0, 30, 60 days) and default, given not closed."""

    arrears: list[Floats]  # each (customers, 4)
    probability: Floats


def _default_path(bank: Bank, miss_rate: float) -> DefaultPath:
    """A customer without a loan has the path a loan would have: it ranks whom to lend to."""
    size = bank.people.size
    hazard = distress_hazard(bank)
    worst = np.zeros(size)
    for slot in LOANS:
        account = bank.accounts.held[:, slot]
        some = account >= 0
        worst[some] = np.maximum(worst[some], bank.accounts["past_due"][account[some]])
    bad = bank.in_default()
    good = np.zeros((size, 3))
    ill = np.zeros((size, 3))
    step = np.minimum(worst // 30, 2).astype(int)
    everyone = np.arange(size)
    good[everyone, step] = ~bank.distress & ~bad
    ill[everyone, step] = bank.distress & ~bad
    default = bad.astype(np.float64)
    path = []
    for _ in range(HORIZON):
        falls = good * hazard[:, None]
        heals = ill * DISTRESS_END
        good, ill = good - falls + heals, ill - heals + falls
        missed = ill * miss_rate
        paid = ill - missed
        default = default + missed[:, 2]
        ill = np.stack([paid[:, 0] + paid[:, 1], paid[:, 2] + missed[:, 0], missed[:, 1]], axis=1)
        good = np.stack([good[:, 0] + good[:, 1], good[:, 2], np.zeros(size)], axis=1)
        path.append(np.column_stack([good + ill, default]))
    # Who is in default already does not default again.
    return DefaultPath(path, np.where(bad, 0.0, default))


def _loan_value(
    bank: Bank, slot: Slot, month_index: int, share_left: list[Floats], defaulting: DefaultPath
) -> Floats:
    size = bank.people.size
    account = bank.accounts.held[:, slot]
    some = account >= 0
    mine = account[some]
    owed, rate, instalment = np.zeros(size), np.zeros(size), np.zeros(size)
    owed[some] = -bank.accounts["balance"][mine] / 100
    rate[some] = bank.accounts["rate"][mine]
    instalment[some] = bank.accounts["instalment"][mine] / 100
    since = np.full(size, -1)
    since[some] = bank.accounts["defaulted_month"][mine]
    loss = PRODUCTS[PRODUCT_OF_SLOT[slot]].loss_given_default
    price = float(TRANSFER_PRICE_OF_PRODUCT[PRODUCT_OF_SLOT[slot]])
    early = EARLY_REPAYMENT / (1 if slot == Slot.CONSUMER_LOAN else 6)
    value = np.zeros(size)
    debt = owed.copy()
    for h in range(HORIZON):
        arrears = defaulting.arrears[h]
        before = debt
        debt = np.where(debt <= 1.02 * instalment, 0.0, debt * (1 + rate / 12) - instalment)
        alive = share_left[h] * (1 - early) ** (h + 0.5)
        performing = 1 - arrears[:, 3]
        average = (before + debt) / 2
        # A loan in default is written off on time; the others follow the path.
        exposure = np.where(since >= 0, owed, average)
        in_default = np.where(
            since >= 0, since + WRITE_OFF_AFTER > month_index + 1 + h, arrears[:, 3]
        )
        performing = np.where(since >= 0, 0.0, performing)
        lost = (
            arrears[:, :3] @ np.array(PD_BY_ARREARS[:3]) * (since < 0)
            + in_default * PD_BY_ARREARS[3]
        )
        value += alive * (
            (performing * rate - (performing + in_default) * price) * exposure / 12
            - loss * lost * exposure / 12
            + LATE_PENALTY * (arrears[:, 1] + arrears[:, 2]) * (since < 0)
            - (MAINTENANCE_COST["lending"] + 0.03) * (exposure > 0)
        )
    return np.where(some, value, 0.0)


def _products_to_come(bank: Bank, month_index: int, share_left: list[Floats]) -> Floats:
    """(customers, slots): products planned, or wished for at some month ahead."""
    everyone = np.arange(bank.people.size)
    monthly, upfront = np.zeros(bank.planned.shape), np.zeros(bank.planned.shape)
    mean_noise = float(np.exp(0.5 * 0.45**2))

    def set_value(slot: Slot, each_month: Floats, once: Floats | float = 0.0) -> None:
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
        margin = _margin(slot) - _loss_rate(slot)
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
    set_value(
        Slot.INSURANCE, COMMISSION_SHARE * premium(bank, everyone) * 1.08 / 3 - costs["agency"]
    )
    wish = wish_hazard(bank)
    result = np.zeros(wish.shape)
    for h in range(HORIZON):
        left = share_left[h][:, None]
        # A wish of month k opens two months later on average: it is there from k + 2 on.
        months_held = max(h - 1.5, 0.0)
        result += left * wish * (1 - wish) ** max(h - 2, 0) * (upfront if h >= 2 else 0.0)
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
