"""Planted anomalies, and harmless rarities that look similar.

A few customers a month suffer a fraud or launder money; somewhat more go on holiday or buy a car.
All are real bookings that count in balances, interest and ledger, made after the month's regular
ones with a separate random stream. Only the former are in the hidden truth.

The payee's bank returns the amount of a fraud within the month, and savings elsewhere pay for a
holiday or a car: at the month's end the account has the balance it would have had. An emptied
account would change the owner's later wishes and ability to pay, which is not the purpose here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sources.synthetic.bookings import BANKS, CHANNEL, MonthBookings
from sources.synthetic.population import Ints
from sources.synthetic.products import Slot
from sources.synthetic.state import Bank, Step

# Marks of bookings, by place; 0 is an ordinary booking.
ANOMALIES = ("", "account_takeover", "card_burst", "structuring", "dormant_awakened", "returned")
TAKEOVER, CARD_BURST, STRUCTURING, DORMANT, RETURNED = 1, 2, 3, 4, 5

# Share per month of the customers with an eligible current account.
ANOMALY_RATE = 0.002
HOLIDAY_RATE = 0.004
LARGE_PURCHASE_RATE = 0.002
# Candidates drawn per victim: not every account has enough on the day.
DRAWN_FOR_ONE = 80
DORMANT_MONTHS = 6
# Least and largest amounts, in monthly incomes and cents: worth a fraud, and negligible for the
# bank's economics.
WORTH_INCOMES = 2.0
LEAST_TAKEN, MOST_TAKEN = 300_000, 1_500_000
LEAST_ROOM, MOST_SPENT = 250_000, 600_000
# Share of the day's balance that remains at the month's end.
LEAST_STAYING = 0.9
THRESHOLDS = np.array([100_000, 200_000, 300_000, 500_000])
FIRST_COUNTERPARTY = 2_000_000
COUNTERPARTIES = 1_000_000


@dataclass
class Chosen:
    """Accounts on a day of the month, with the cents available from then to the month's end."""

    account: Ints
    day: Ints
    room: Ints

    def __len__(self) -> int:
        return len(self.account)


class Anomalies:
    """Plants each month's anomalies and rarities; tracks how long accounts have been inactive."""

    def __init__(self) -> None:
        self._last_active: Ints = np.zeros(0, dtype=np.int64)

    def plant(self, bank: Bank, step: Step, rng: np.random.Generator) -> None:
        """Add the month's anomalies and rarities to its bookings."""
        current = _struck(bank, step, rng)
        counts = rng.multinomial(rng.poisson(ANOMALY_RATE * len(current)), [0.25] * 4)
        taken: list[Ints] = []

        def free(count: int) -> Ints:
            """The next accounts of customers not chosen yet."""
            before = sum(len(part) for part in taken)
            part = current[before : before + DRAWN_FOR_ONE * count]
            taken.append(part)
            return part

        _take_over(bank, step, rng, free(counts[0]), counts[0])
        _burst(bank, step, rng, free(counts[1]), counts[1])
        _structure(bank, step, rng, free(counts[2]), counts[2])
        self._awaken(bank, step, rng, counts[3])
        holidays = int(rng.poisson(HOLIDAY_RATE * len(current)))
        _travel(bank, step, rng, free(holidays), holidays)
        purchases = int(rng.poisson(LARGE_PURCHASE_RATE * len(current)))
        _buy(bank, step, rng, free(purchases), purchases)

    def observe(self, bank: Bank, index: int, bookings: MonthBookings) -> None:
        """Record the accounts with bookings of their owners in month `index`."""
        before = self._last_active
        self._last_active = np.full(bank.accounts.size, -1, dtype=np.int64)
        self._last_active[: len(before)] = before
        own = bookings.channel != CHANNEL["system"]
        self._last_active[bookings.account[own]] = index

    def _awaken(self, bank: Bank, step: Step, rng: np.random.Generator, count: int) -> None:
        """A large amount arrives on a long inactive account and leaves on the same day."""
        accounts = bank.accounts
        silent = np.flatnonzero(self._last_active <= step.month.index - DORMANT_MONTHS)
        settled = accounts["opened_month"][silent] <= step.month.index - DORMANT_MONTHS
        savings = accounts["slot"][silent] == Slot.SAVINGS
        quiet = ~step.bookings.touched(accounts.size)[silent]
        silent = silent[settled & savings & quiet & (accounts["closed"][silent] == 0)]
        silent = silent[bank.leaving[accounts["customer"][silent]] == 0]
        account = rng.permutation(silent)[:count]
        size = len(account)
        day = rng.integers(2, step.month.days, size)
        amount = np.rint(rng.uniform(200_000, 900_000, size)).astype(np.int64)
        bank_in, bank_out = rng.integers(1, len(BANKS), (2, size))
        payer, payee = _strangers(rng, (2, size))
        step.bookings.add(account, day, amount, "transfer_in", "online", bank_in, payer, DORMANT)
        step.bookings.add(account, day, -amount, "transfer_out", "online", bank_out, payee, DORMANT)


def _struck(bank: Bank, step: Step, rng: np.random.Generator) -> Ints:
    """Persons' current accounts that anomalies may strike, in random order."""
    accounts, people = bank.accounts, bank.people
    owner = accounts["customer"]
    usable = (accounts["slot"] == Slot.CURRENT) & (accounts["closed"] == 0)
    usable &= accounts["opened_month"] < step.month.index
    usable &= (people.domiciled & bank.alive & ~step.closing & ~bank.distress)[owner]
    usable &= ((bank.leaving == 0) & ~bank.unemployed & ~people.firm)[owner]
    return rng.permutation(np.flatnonzero(usable))


def _strangers(rng: np.random.Generator, shape: int | tuple[int, int]) -> Ints:
    return FIRST_COUNTERPARTY + rng.integers(0, COUNTERPARTIES, shape)


def _give_back(step: Step, rng: np.random.Generator, account: Ints, day: Ints, cents: Ints) -> None:
    """A few days after `day` the payee's bank returns the amount."""
    size = len(account)
    when = np.minimum(day + rng.integers(1, 6, size), step.month.days)
    step.bookings.add(
        account, when, cents, "transfer_in", "system", rng.integers(1, len(BANKS), size),
        _strangers(rng, size), RETURNED,
    )  # fmt: skip


def _bring(step: Step, rng: np.random.Generator, account: Ints, day: Ints, cents: Ints) -> None:
    """Up to a day before `day` money comes from the owner's account elsewhere."""
    size = len(account)
    when = np.maximum(day - rng.integers(0, 2, size), 1)
    # A customer's own account elsewhere is always the same.
    at, payer = 1 + account % (len(BANKS) - 1), FIRST_COUNTERPARTY + COUNTERPARTIES + account
    step.bookings.add(account, when, cents, "transfer_in", "online", at, payer)


def _choose(
    bank: Bank, step: Step, account: Ints, day: Ints, count: int, least: Ints | int, most: int
) -> Chosen:
    """The first accounts that hold an amount within the bounds from their day on.

    Only the balance that stays until the month's end counts: otherwise a later purchase would
    overdraw the account.
    """
    balance = step.bookings.day_balances(account, step.month.days, bank.accounts["balance"])
    later = np.arange(1, step.month.days + 1) >= day[:, None]
    room = np.where(later, balance, np.iinfo(np.int64).max).min(axis=1)
    room += bank.accounts["limit"][account]
    on_day = balance[np.arange(len(account)), day - 1] + bank.accounts["limit"][account]
    fits = np.flatnonzero((room >= least) & (room <= most) & (room >= LEAST_STAYING * on_day))[
        :count
    ]
    return Chosen(account[fits], day[fits], room[fits])


def _take_over(bank: Bank, step: Step, rng: np.random.Generator, account: Ints, count: int) -> None:
    """One or two transfers to a stranger empty the account within two days."""
    day = rng.integers(3, step.month.days - 1, len(account))
    income = 100 * bank.income[bank.accounts["customer"][account]]
    worth = np.maximum(LEAST_TAKEN, WORTH_INCOMES * income).astype(np.int64)
    victims = _choose(bank, step, account, day, count, worth, MOST_TAKEN)
    size = len(victims)
    total = victims.room * rng.uniform(0.85, 0.98, size)
    first = np.rint(total * np.where(rng.random(size) < 0.5, rng.uniform(0.4, 0.7, size), 1))
    first = first.astype(np.int64)
    second = np.rint(total - first).astype(np.int64)
    channel = rng.choice([CHANNEL["mobile"], CHANNEL["online"]], size)
    at, payee = rng.integers(1, len(BANKS), size), _strangers(rng, size)
    again = second > 0
    last = victims.day + again
    _give_back(step, rng, victims.account, last, first + second)
    for part, amount, on in ((slice(None), first, victims.day), (again, second, victims.day + 1)):
        step.bookings.add(
            victims.account[part], on[part], -amount[part], "transfer_out", channel[part],
            at[part], payee[part], TAKEOVER,
        )  # fmt: skip


def _burst(bank: Bank, step: Step, rng: np.random.Generator, account: Ints, count: int) -> None:
    """Five to eight payments with a stolen card, of the account or the credit card, in two days."""
    day = rng.integers(3, step.month.days - 1, len(account))
    victims = _choose(bank, step, _by_card(bank, step, rng, account), day, count, LEAST_ROOM, 10**9)
    payments = rng.integers(5, 9, len(victims))
    total = np.minimum(victims.room * rng.uniform(0.6, 0.95, len(victims)), MOST_SPENT)
    channel = np.where(rng.random(len(victims)) < 0.7, CHANNEL["card"], CHANNEL["online"])
    victim, amount = _split(rng, total, payments)
    step.bookings.add(
        victims.account[victim], victims.day[victim] + rng.integers(0, 2, len(victim)), -amount,
        "card_payment", channel[victim], mark=CARD_BURST,
    )  # fmt: skip
    taken = _summed(victim, amount, len(victims))
    _give_back(step, rng, victims.account, victims.day + 1, taken)


def _structure(bank: Bank, step: Step, rng: np.random.Generator, account: Ints, count: int) -> None:
    """Cash just below a round threshold, several times within days, then all of it abroad."""
    account = account[:count]
    size = len(account)
    start = rng.integers(1, step.month.days - 12, size)
    times = rng.integers(3, 7, size)
    threshold = rng.choice(THRESHOLDS, size)
    who = np.repeat(np.arange(size), times)
    amount = np.rint(threshold[who] * rng.uniform(0.9, 0.995, len(who)) / 1_000) * 1_000
    paid = amount.astype(np.int64)
    day = start[who] + rng.integers(0, 8, len(who))
    step.bookings.add(account[who], day, paid, "deposit", "branch", mark=STRUCTURING)
    channel = rng.choice([CHANNEL["branch"], CHANNEL["online"], CHANNEL["mobile"]], size)
    step.bookings.add(
        account, start + rng.integers(8, 12, size), -_summed(who, paid, size),
        "transfer_out", channel, rng.integers(1, len(BANKS), size), _strangers(rng, size),
        STRUCTURING,
    )  # fmt: skip


def _travel(bank: Bank, step: Step, rng: np.random.Generator, account: Ints, count: int) -> None:
    """A holiday, which is harmless: four to eight card payments within ten days."""
    day = rng.integers(3, step.month.days - 8, len(account))
    chosen = _choose(bank, step, _by_card(bank, step, rng, account), day, count, LEAST_ROOM, 10**9)
    total = np.minimum(chosen.room * rng.uniform(0.15, 0.45, len(chosen)), MOST_SPENT)
    traveller, amount = _split(rng, total, rng.integers(4, 9, len(chosen)))
    day = chosen.day[traveller] + rng.integers(0, 10, len(traveller))
    channel = np.where(rng.random(len(traveller)) < 0.7, CHANNEL["card"], CHANNEL["online"])
    step.bookings.add(
        chosen.account[traveller], np.minimum(day, step.month.days), -amount, "card_payment",
        channel,
    )  # fmt: skip
    _bring(step, rng, chosen.account, chosen.day, _summed(traveller, amount, len(chosen)))


def _buy(bank: Bank, step: Step, rng: np.random.Generator, account: Ints, count: int) -> None:
    """A car or kitchen, which is harmless: one large transfer to a new payee."""
    day = rng.integers(3, step.month.days, len(account))
    chosen = _choose(bank, step, account, day, count, LEAST_ROOM, 2 * MOST_TAKEN)
    size = len(chosen)
    amount = np.rint(chosen.room * rng.uniform(0.4, 0.9, size) / 100).astype(np.int64) * 100
    channel = rng.choice([CHANNEL["branch"], CHANNEL["online"], CHANNEL["mobile"]], size)
    step.bookings.add(
        chosen.account, chosen.day, -amount, "transfer_out", channel,
        rng.integers(1, len(BANKS), size), _strangers(rng, size),
    )  # fmt: skip
    _bring(step, rng, chosen.account, chosen.day, amount)


def _by_card(bank: Bank, step: Step, rng: np.random.Generator, current: Ints) -> Ints:
    """Half of those with a credit card use it, the others pay from the current account."""
    accounts = bank.accounts
    card = accounts.held[accounts["customer"][current], Slot.CREDIT_CARD]
    usable = (card >= 0) & (rng.random(len(current)) < 0.5)
    usable[usable] = accounts["opened_month"][card[usable]] < step.month.index
    return np.where(usable, card, current)


def _summed(place: np.ndarray, cents: Ints, size: int) -> Ints:
    """Cents of each place, exactly."""
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, place, cents)
    return total


def _split(rng: np.random.Generator, total: np.ndarray, parts: Ints) -> tuple[Ints, Ints]:
    """Cents of each of `parts` payments that make up a total, beside the total's place."""
    place = np.repeat(np.arange(len(total)), parts)
    weight = rng.gamma(4.0, 1.0, len(place)) + 0.2
    share = weight / np.bincount(place, weights=weight, minlength=len(total))[place]
    return place, np.maximum(np.rint(total[place] * share), 1).astype(np.int64)
