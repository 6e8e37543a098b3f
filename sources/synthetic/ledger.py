"""The general ledger, kept beside the bookings: month, branch, product line, ledger account."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sources.contract import BOOKED_ACCOUNTS, CHANNELS, OPERATING_COST, PRODUCT_LINES
from sources.synthetic.bookings import KIND, MonthBookings
from sources.synthetic.currency import to_euros
from sources.synthetic.population import Flags, Ints
from sources.synthetic.products import LINE_OF_PRODUCT
from sources.synthetic.state import Bank
from sources.synthetic.timeline import Month

# Ledger account: the kinds of bookings it sums, with the sign that makes income positive.
FLOWS = {
    "interest_income": (("interest_charged",), -1),
    "interest_expense": (("interest_paid",), 1),
    "fee_income": (("fee", "penalty"), -1),
}
BALANCE = "customer_balance"
# Delivered by account too, in account_result.
ACCRUED = "accrued_interest_expense"
LEDGER_ACCOUNTS = (*BOOKED_ACCOUNTS, ACCRUED, OPERATING_COST)
# Cents a month of an open account, and of a booking by its channel: somewhat more than the default
# rates and pools charge, since no cost centre is fully used.
COST_OF_ACCOUNT = 520
COST_OF_BOOKING = {"branch": 230, "telephone": 170, "atm": 60}
COST_OF_OTHER_BOOKING = 6
# Rent of safe deposit boxes, booked by the quarter and on no account: cents by branch.
LINE_OF_RENT = PRODUCT_LINES.index("deposits")
RENT = (6000, 7500, 9000, 10500, 12000)


@dataclass(frozen=True)
class LedgerMonth:
    """Rows of one month; `amount` in cents. `rent`: cents of the adjustment of fees by branch, of
    those in `renting`; empty unless the month closes a quarter."""

    branch: Ints
    line: Ints
    ledger_account: Ints
    amount: Ints
    renting: Ints
    rent: Ints


def keep_ledger(
    this: Month, bank: Bank, bookings: MonthBookings, accruals: tuple[Ints, Ints]
) -> LedgerMonth:
    """Sum one settled month. A cell exists where accounts of the branch and line are or were.
    `accruals`: accounts with the cents of the item accrued_interest_expense."""
    accounts, in_dollars = bank.accounts, bank.in_dollars
    lines = len(PRODUCT_LINES)
    cells = len(bank.places.branch_district) * lines
    cell_of = accounts["branch"].astype(np.int64) * lines + LINE_OF_PRODUCT[accounts["product"]]
    present = np.bincount(cell_of, minlength=cells) > 0
    sums = {}
    flow_account, flow_kind, flow_amount = _in_euros(bookings, in_dollars, bank.average_rate)
    for name, (kinds, sign) in FLOWS.items():
        chosen = np.isin(flow_kind, [KIND[kind] for kind in kinds])
        where = cell_of[flow_account[chosen]]
        total = np.bincount(where, weights=flow_amount[chosen], minlength=cells)
        sums[name] = sign * np.rint(total).astype(np.int64)
    closing = accounts["balance"]
    closing = np.where(in_dollars, to_euros(closing, bank.closing_rate), closing)
    total = np.bincount(cell_of, weights=closing, minlength=cells)
    sums[BALANCE] = np.rint(total).astype(np.int64)
    account, accrued = accruals
    accrued = np.where(in_dollars[account], to_euros(accrued, bank.average_rate), accrued)
    total = np.bincount(cell_of[account], weights=accrued, minlength=cells)
    sums[ACCRUED] = np.rint(total).astype(np.int64)
    rate = np.full(len(CHANNELS), COST_OF_OTHER_BOOKING)
    for channel, cents in COST_OF_BOOKING.items():
        rate[CHANNELS.index(channel)] = cents
    cell = cell_of[bookings.account]
    total = np.bincount(cell, weights=rate[bookings.channel], minlength=cells)
    total += COST_OF_ACCOUNT * np.bincount(cell_of[accounts["closed"] == 0], minlength=cells)
    sums[OPERATING_COST] = np.rint(total).astype(np.int64)
    renting = np.flatnonzero(present[LINE_OF_RENT::lines]) if this.closes_quarter else np.arange(0)
    rent = np.array(RENT)[renting % len(RENT)]
    sums["fee_income"][renting * lines + LINE_OF_RENT] += rent
    amount = np.stack([sums[name] for name in LEDGER_ACCOUNTS], axis=1)
    balance = LEDGER_ACCOUNTS.index(BALANCE)
    keep = present[:, None] & ((amount != 0) | (np.arange(len(LEDGER_ACCOUNTS)) == balance))
    where, kind = np.nonzero(keep)
    return LedgerMonth(where // lines, where % lines, kind, amount[where, kind], renting, rent)


def _in_euros(
    bookings: MonthBookings, in_dollars: Flags, average_rate: int
) -> tuple[Ints, Ints, Ints]:
    """Accounts, kinds and cents of euros. Dollars are translated as the month's sum of an account,
    channel and kind."""
    foreign = in_dollars[bookings.account]
    key = np.stack([bookings.account, bookings.kind, bookings.channel])[:, foreign]
    (account, kind, _), place = np.unique(key, axis=1, return_inverse=True)
    total = np.zeros(len(account), dtype=np.int64)
    np.add.at(total, place.ravel(), bookings.amount[foreign])
    return (
        np.concatenate([bookings.account[~foreign], account]),
        np.concatenate([bookings.kind[~foreign], kind]),
        np.concatenate([bookings.amount[~foreign], to_euros(total, average_rate)]),
    )
