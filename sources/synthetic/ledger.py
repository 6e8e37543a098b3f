"""The general ledger, kept beside the bookings: month, branch, product line, ledger account."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sources.contract import BOOKED_ACCOUNTS, PRODUCT_LINES
from sources.synthetic.accounts import Accounts
from sources.synthetic.bookings import KIND, MonthBookings
from sources.synthetic.population import Ints
from sources.synthetic.products import LINE_OF_PRODUCT

# Ledger account: the kinds of bookings it sums, with the sign that makes income positive.
FLOWS = {
    "interest_income": (("interest_charged",), -1),
    "interest_expense": (("interest_paid",), 1),
    "fee_income": (("fee", "penalty"), -1),
}
BALANCE = "customer_balance"


@dataclass(frozen=True)
class LedgerMonth:
    """Rows of one month; `amount` in cents."""

    branch: Ints
    line: Ints
    ledger_account: Ints
    amount: Ints


def keep_ledger(accounts: Accounts, bookings: MonthBookings, branches: int) -> LedgerMonth:
    """Sum one settled month. A cell exists where accounts of the branch and line are or were."""
    lines = len(PRODUCT_LINES)
    cells = branches * lines
    cell_of = accounts["branch"].astype(np.int64) * lines + LINE_OF_PRODUCT[accounts["product"]]
    present = np.bincount(cell_of, minlength=cells) > 0
    cell = cell_of[bookings.account]
    sums = {}
    for name, (kinds, sign) in FLOWS.items():
        chosen = np.isin(bookings.kind, [KIND[kind] for kind in kinds])
        total = np.bincount(cell[chosen], weights=bookings.amount[chosen], minlength=cells)
        sums[name] = sign * np.rint(total).astype(np.int64)
    total = np.bincount(cell_of, weights=accounts["balance"], minlength=cells)
    sums[BALANCE] = np.rint(total).astype(np.int64)
    amount = np.stack([sums[name] for name in BOOKED_ACCOUNTS], axis=1)
    balance = BOOKED_ACCOUNTS.index(BALANCE)
    keep = present[:, None] & ((amount != 0) | (np.arange(len(BOOKED_ACCOUNTS)) == balance))
    where, account = np.nonzero(keep)
    return LedgerMonth(where // lines, where % lines, account, amount[where, account])
