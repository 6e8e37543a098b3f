"""The optimisation problem of the contact plan: options, constraints and plans.

An option is a customer, an offer and a channel, and the person who makes the contact if the channel
needs one. Choosing among them is a multiple-choice, multi-dimensional knapsack problem
(Kellerer, Pferschy & Pisinger, 2004, ch. 9 and 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

NONE = -1
# Relative tolerance of sums of costs against the budget, for rounding errors.
TOLERANCE = 1e-9
PRICE_COLUMNS = ("kind", "key", "capacity", "used", "shadow_price")
_CODES = ("customer", "household", "offer", "channel", "manager")
OPTION_FIELDS = (*_CODES, "profit", "cost")
_ROOMS = ("customer_room", "household_room")
_CAPACITIES = ("channel_capacity", "manager_capacity")


@dataclass(frozen=True, eq=False)
class Problem:
    """Options, one row each, and their limits. Arrays are copied and read-only.

    Parameters
    ----------
    customer, offer, channel : arrays of shape (n,), codes from 0
    household : array of shape (n,), code from 0 or -1 for none; one for all options of a customer
    manager : array of shape (n,), code from 0 or -1 where the channel needs no person
    profit : array of shape (n,), expected incremental profit, in the currency's unit
    cost : array of shape (n,), what the option takes from the budget, same unit, at least 0
    customer_room, household_room : arrays indexed by code, most options of each, whole numbers;
        an offer is made to a customer once at most, whatever the room
    channel_capacity, manager_capacity : sequences indexed by code, most options of each, whole
        numbers; None or infinity is no limit
    budget : most that the chosen options cost together; infinity is no limit

    Raises
    ------
    ValueError
        When shapes differ, a code has no room or capacity, or a figure is missing or out of range.
    """

    customer: np.ndarray
    household: np.ndarray
    offer: np.ndarray
    channel: np.ndarray
    manager: np.ndarray
    profit: np.ndarray
    cost: np.ndarray
    customer_room: np.ndarray
    household_room: np.ndarray
    channel_capacity: np.ndarray
    manager_capacity: np.ndarray
    budget: float = np.inf

    def __post_init__(self) -> None:
        made: dict[str, Any] = {name: _codes(name, getattr(self, name)) for name in _CODES}
        made |= {name: _figures(name, getattr(self, name)) for name in ("profit", "cost")}
        made |= {name: _rooms(name, getattr(self, name)) for name in _ROOMS}
        made |= {name: _capacities(name, getattr(self, name)) for name in _CAPACITIES}
        made["budget"] = float(self.budget)
        for name, value in made.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)
        self._check()

    def __len__(self) -> int:
        return len(self.profit)

    def _check(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in OPTION_FIELDS}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"options are invalid: expected one value of each field per option, got {lengths}"
            )
        for name, limit, least in (
            ("customer", self.customer_room, 0),
            ("household", self.household_room, NONE),
            ("channel", self.channel_capacity, 0),
            ("manager", self.manager_capacity, NONE),
            ("offer", None, 0),
        ):
            most = np.iinfo(np.int32).max if limit is None else len(limit) - 1
            codes = getattr(self, name)
            wrong = (codes < least) | (codes > most)
            if wrong.any():
                row = int(np.argmax(wrong))
                raise ValueError(
                    f"{name} is invalid: expected codes from {least} to {most}, row {row} has "
                    f"{codes[row]} ({int(wrong.sum())} such rows)"
                )
        if (self.cost < 0).any():
            row = int(np.argmax(self.cost < 0))
            raise ValueError(
                f"cost is invalid: expected 0 or more, row {row} has {self.cost[row]:g}"
            )
        if np.isnan(self.budget) or self.budget < 0:
            raise ValueError(f"budget is invalid: expected 0 or more, got {self.budget:g}")
        home = np.full(len(self.customer_room), NONE, dtype=self.household.dtype)
        home[self.customer] = self.household
        strangers = home[self.customer] != self.household
        if strangers.any():
            code = int(self.customer[np.argmax(strangers)])
            raise ValueError(f"customer {code} is invalid: expected options of one household")

    def take(self, rows: np.ndarray) -> Problem:
        """The same limits with some of the options, in the order of `rows` (mask or positions)."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return Problem(**{**named, **{name: named[name][rows] for name in OPTION_FIELDS}})


@dataclass(frozen=True, eq=False)
class Plan:
    """The chosen options, and a bound of the best plan.

    Attributes
    ----------
    chosen : array of shape (n,), True for the options taken
    profit : their total, in the unit of the problem's profit
    bound : proven upper bound of the profit of every plan; None if nothing was proven
    method : "exact", "lagrangian", "greedy" or "random"
    prices : columns kind (channel, manager, budget), key (code; -1 for the budget), capacity, used,
        shadow_price (profit that one more unit of capacity would bring, at the margin; NaN where
        nothing was proven)
    """

    chosen: np.ndarray
    profit: float
    bound: float | None
    method: str
    prices: pd.DataFrame

    @property
    def gap(self) -> float | None:
        """(bound − profit) / |bound|, at least 0; None without a bound."""
        if self.bound is None:
            return None
        tiny = np.finfo(float).tiny
        return max(self.bound - self.profit, 0.0) / max(abs(self.bound), tiny)


def _codes(name: str, given: Sequence[int] | np.ndarray) -> np.ndarray:
    values = np.asarray(given)
    if values.ndim != 1:
        raise ValueError(f"{name} is invalid: expected one dimension, got shape {values.shape}")
    if len(values) and values.dtype.kind not in "iu":
        raise ValueError(f"{name} is invalid: expected integer codes, got {values.dtype}")
    largest = np.iinfo(np.int32)
    if len(values) and (values.min() < largest.min or values.max() > largest.max):
        raise ValueError(f"{name} is invalid: expected codes up to {largest.max}")
    return values.astype(np.int32)


def _figures(name: str, given: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.array(given, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"{name} is invalid: expected one dimension, got shape {values.shape}")
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{name} is invalid: expected finite numbers, row {row} has {values[row]}")
    return values


def _rooms(name: str, given: Sequence[int] | np.ndarray) -> np.ndarray:
    values = _codes(name, given)
    if (values < 0).any():
        code = int(np.argmax(values < 0))
        raise ValueError(f"{name} is invalid: expected 0 or more, code {code} has {values[code]}")
    return values


def _capacities(name: str, given: Sequence[float | None] | np.ndarray) -> np.ndarray:
    values = np.array([np.inf if one is None else one for one in given], dtype=float)
    if values.ndim != 1:
        raise ValueError(f"{name} is invalid: expected one dimension, got shape {values.shape}")
    finite = np.isfinite(values)
    wrong = np.isnan(values) | (values < 0) | (finite & (values != np.floor(values)))
    if wrong.any():
        code = int(np.argmax(wrong))
        raise ValueError(
            f"{name} is invalid: expected whole numbers from 0, None or infinity, code {code} has "
            f"{values[code]}"
        )
    return values


def as_mask(problem: Problem, chosen: np.ndarray) -> np.ndarray:
    """Mask of shape (n,) of chosen options given as a mask or as positions.

    Raises
    ------
    ValueError
        For a mask of another length, or positions that do not exist or come twice.
    """
    given = np.asarray(chosen)
    if given.dtype == bool:
        if given.shape != (len(problem),):
            raise ValueError(
                f"mask is invalid: expected {len(problem)} options, got shape {given.shape}"
            )
        return given
    mask = np.zeros(len(problem), dtype=bool)
    if given.size:
        places = given.astype(np.int64)
        if places.min() < 0 or places.max() >= len(problem):
            raise ValueError(f"positions are invalid: expected 0 to {len(problem) - 1}")
        mask[places] = True
        if mask.sum() != len(places):
            raise ValueError("positions are invalid: expected each option once")
    return mask


def violations(problem: Problem, chosen: np.ndarray) -> list[str]:
    """A text for every broken constraint; empty for a plan that keeps all of them.

    Parameters
    ----------
    chosen : mask of shape (n,), or positions
    """
    rows = np.flatnonzero(as_mask(problem, chosen))
    found = []
    made = np.column_stack([problem.customer[rows], problem.offer[rows]])
    pairs, count = np.unique(made, axis=0, return_counts=True)
    for (customer, offer), times in zip(pairs[count > 1], count[count > 1], strict=True):
        found.append(f"customer {customer}: offer {offer} is made {times} times")
    for kind, limit in (
        ("customer", problem.customer_room),
        ("household", problem.household_room),
        ("channel", problem.channel_capacity),
        ("manager", problem.manager_capacity),
    ):
        used = usage(getattr(problem, kind)[rows], len(limit))
        found += [
            f"{kind} {code}: {used[code]} options, room for {limit[code]:g}"
            for code in np.flatnonzero(used > limit)
        ]
    spent = float(problem.cost[rows].sum())
    if spent > allowed(problem.budget):
        found.append(f"budget: {spent:.2f} spent of {problem.budget:.2f}")
    return found


def allowed(budget: float) -> float:
    """The budget with the tolerance for rounding errors."""
    return budget + TOLERANCE * max(budget, 1.0)


def usage(codes: np.ndarray, number: int) -> np.ndarray:
    """The number of options of each code, shape (number,); code -1 is not counted."""
    return np.bincount(codes[codes >= 0], minlength=number)


def price_table(
    problem: Problem, chosen: np.ndarray, channel: np.ndarray, manager: np.ndarray, budget: float
) -> pd.DataFrame:
    """The table of `Plan.prices` from prices by code; every shared limit has a row."""
    blocks: list[tuple[np.ndarray, ...]] = []
    for kind, price, capacity in (
        ("channel", channel, problem.channel_capacity),
        ("manager", manager, problem.manager_capacity),
    ):
        key = np.arange(len(capacity))
        used = usage(getattr(problem, kind)[chosen], len(capacity))
        blocks.append((np.full(len(capacity), kind), key, capacity, used, price))
    spent = float(problem.cost[chosen].sum())
    last = ("budget", NONE, problem.budget, spent, budget)
    blocks.append(tuple(np.array([figure]) for figure in last))
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    return pd.DataFrame(dict(zip(PRICE_COLUMNS, columns, strict=True)))
