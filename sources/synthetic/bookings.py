"""The bookings of one month, collected flow by flow, then put in order with running balances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sources.contract import CHANNELS, KINDS

KIND = {name: code for code, name in enumerate(KINDS)}
CHANNEL = {name: code for code, name in enumerate(CHANNELS)}
OWN_BANK = 0
BANKS = ("JINGXI", "NORDBK", "ALPINA", "MERIDA", "POSTBK", "KREDIT", "UNIONA", "SOLARI")


@dataclass(frozen=True)
class MonthBookings:
    """Bookings of a month in booking order: day ascending, then the order they were made."""

    account: NDArray[np.int32]
    day: NDArray[np.int8]  # of the month, 1 …
    amount: NDArray[np.int64]  # cents
    kind: NDArray[np.int8]
    channel: NDArray[np.int8]
    bank: NDArray[np.int8]  # index into BANKS, -1 none
    counterparty: NDArray[np.int64]  # account number there, -1 none
    balance_after: NDArray[np.int64]
    mark: NDArray[np.int8]  # number of the planted anomaly in the hidden truth, 0 for none

    def __len__(self) -> int:
        return len(self.account)


class Bookings:
    """Collects bookings; those made later on a day come after those made earlier."""

    TYPES = (np.int32, np.int8, np.int64, np.int8, np.int8, np.int8, np.int64, np.int8)

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(
        self,
        account: NDArray[Any],
        day: ArrayLike,
        amount: ArrayLike,
        kind: ArrayLike | str,
        channel: ArrayLike | str,
        bank: ArrayLike = -1,
        counterparty: ArrayLike = -1,
        mark: ArrayLike = 0,
    ) -> None:
        """One booking for each entry of `account`; the other arguments broadcast to it."""
        if len(account) == 0:
            return
        values = (
            account,
            day,
            amount,
            KIND[kind] if isinstance(kind, str) else kind,
            CHANNEL[channel] if isinstance(channel, str) else channel,
            bank,
            counterparty,
            mark,
        )
        self._parts.append(
            tuple(
                np.broadcast_to(np.asarray(value, dtype=kind_of), len(account))
                for value, kind_of in zip(values, self.TYPES, strict=True)
            )
        )

    def transfer(
        self,
        source: NDArray[Any],
        target: NDArray[Any],
        day: ArrayLike,
        amount: NDArray[Any],
        channel: ArrayLike | str,
        kinds: tuple[str, str] = ("transfer_out", "transfer_in"),
        received: NDArray[Any] | None = None,
    ) -> None:
        """Move `amount` (>= 0, zero is skipped) between two accounts of the bank; `received` is the
        same in the target's currency."""
        some = amount > 0
        if not some.any():
            return
        day = np.broadcast_to(np.asarray(day), len(amount))[some]
        if not isinstance(channel, str):
            channel = np.broadcast_to(np.asarray(channel), len(amount))[some]
        received = amount if received is None else received
        source, target = source[some], target[some]
        self.add(source, day, -amount[some], kinds[0], channel, OWN_BANK, target)
        self.add(target, day, received[some], kinds[1], channel, OWN_BANK, source)

    def net(self, accounts: int) -> NDArray[np.int64]:
        """Sum of the amounts so far by account. Cents stay exact in float64 up to 2^53."""
        total = np.zeros(accounts)
        for part in self._parts:
            total += np.bincount(part[0], weights=part[2], minlength=accounts)
        return np.rint(total).astype(np.int64)

    def touched(self, accounts: int) -> NDArray[np.bool_]:
        """Which accounts have a booking so far."""
        seen = np.zeros(accounts, dtype=bool)
        for part in self._parts:
            seen[part[0]] = True
        return seen

    def day_balances(
        self, account: NDArray[Any], days: int, opening: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """(accounts, days): balance so far at the end of each day, of distinct accounts."""
        place = np.full(len(opening), -1, dtype=np.int64)
        place[account] = np.arange(len(account))
        change = np.zeros((len(account), days), dtype=np.int64)
        for part in self._parts:
            row = place[part[0]]
            ours = row >= 0
            np.add.at(change, (row[ours], part[1][ours].astype(np.int64) - 1), part[2][ours])
        return np.asarray(opening[account][:, None] + np.cumsum(change, axis=1), dtype=np.int64)

    def day_sum(self, days: int, opening: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sum over the month's days of the end-of-day balance by account, in cent-days."""
        total = opening * float(days)
        for part in self._parts:
            weights = part[2] * (days - part[1] + 1.0)
            total += np.bincount(part[0], weights=weights, minlength=len(opening))
        return np.asarray(total, dtype=np.float64)

    def settle(self, opening: NDArray[np.int64]) -> tuple[MonthBookings, NDArray[np.int64]]:
        """The month in order with running balances, and the closing balance by account."""
        if not self._parts:
            columns: list[NDArray[Any]] = [np.zeros(0, dtype=kind) for kind in self.TYPES]
        else:
            columns = [
                np.concatenate([part[place] for part in self._parts])
                for place in range(len(self.TYPES))
            ]
        order = np.argsort(columns[1], kind="stable")
        account, day, amount, kind, channel, bank, counterparty, mark = (
            column[order] for column in columns
        )
        by_account = np.argsort(account, kind="stable")
        sorted_account = account[by_account]
        running = np.cumsum(amount[by_account])
        first = np.flatnonzero(np.r_[True, sorted_account[1:] != sorted_account[:-1]])
        if len(account) == 0:
            first = first[:0]
        before = running[first] - amount[by_account][first]
        lengths = np.diff(np.r_[first, len(account)])
        running += np.repeat(opening[sorted_account[first]] - before, lengths)
        balance_after = np.empty_like(running)
        balance_after[by_account] = running
        closing = opening.copy()
        last = np.r_[first[1:], len(account)] - 1
        closing[sorted_account[first]] = running[last] if len(first) else 0
        return (
            MonthBookings(
                account, day, amount, kind, channel, bank, counterparty, balance_after, mark
            ),
            closing,
        )
