"""The bank's accounts as growing columns; money in integer cents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sources.synthetic.products import (
    PRODUCTS,
    RATE_OF_PRODUCT,
    SLOTS,
    TERM_OF_PRODUCT,
)

SLOT_OF_PRODUCT = np.array([product.slot for product in PRODUCTS], dtype=np.int8)
COLUMNS: Mapping[str, type] = {
    "customer": np.int32,
    "joint": np.int32,  # the other holder, -1 for none
    "authorised": np.int32,
    "product": np.int8,
    "slot": np.int8,
    "branch": np.int16,
    "opened": np.int32,
    "opened_month": np.int32,
    "closed": np.int32,  # 0 while open
    "rate": np.float64,
    "limit": np.int64,
    "term": np.int16,
    "principal": np.int64,
    "instalment": np.int64,
    "due": np.int8,
    "matures_month": np.int32,
    "past_due": np.int16,
    "defaulted_month": np.int32,  # -1 while not in default
    "accrued": np.float64,  # cents of interest of a current account or deposit not booked yet
    "balance": np.int64,
}


class Accounts:
    """Accounts 0 … size-1, and `held[customer, slot]`, the open account there or -1."""

    def __init__(self, customers: int) -> None:
        self.size = 0
        self.held: NDArray[np.int32] = np.full((customers, SLOTS), -1, dtype=np.int32)
        self._store: dict[str, NDArray[Any]] = {
            name: np.zeros(max(16, 4 * customers), dtype=kind) for name, kind in COLUMNS.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Column `name` of all accounts: a view, so writing through it changes the account."""
        return self._store[name][: self.size]

    def open(
        self,
        customer: NDArray[Any],
        product: ArrayLike,
        opened: ArrayLike,
        opened_month: int,
        branch: ArrayLike,
        **columns: ArrayLike,
    ) -> NDArray[np.int64]:
        """Open one account for each customer (each at most once a call); returns their indices."""
        first, size = self.size, self.size + len(customer)
        while size > len(self._store["customer"]):
            for name, column in self._store.items():
                self._store[name] = np.concatenate([column, np.zeros_like(column)])
        self.size = size
        new = np.arange(first, size)
        code = np.broadcast_to(np.asarray(product), len(customer))
        defaults: dict[str, ArrayLike] = {
            "joint": -1,
            "authorised": -1,
            "rate": RATE_OF_PRODUCT[code],
            "term": TERM_OF_PRODUCT[code],
            "defaulted_month": -1,
        }
        given: dict[str, ArrayLike] = {
            **defaults,
            "customer": customer,
            "product": code,
            "slot": SLOT_OF_PRODUCT[code],
            "opened": opened,
            "opened_month": opened_month,
            "branch": branch,
            **columns,
        }
        for name, values in given.items():
            self[name][new] = values
        self.held[customer, SLOT_OF_PRODUCT[code]] = new
        return new

    def close(self, account: NDArray[Any], day: ArrayLike) -> None:
        """Close accounts on days (since 1970-01-01); their bookings must bring them to zero."""
        self["closed"][account] = day
        self.held[self["customer"][account], self["slot"][account]] = -1
