"""Choosing options: the best within rooms alone, and in a given order within all limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.decisions.problem import Plan, Problem, allowed, price_table
from ml.decisions.reduction import possible, starts

# Rows per chunk: options whose limits are full at its start are skipped before the loop.
CHUNK = 20_000


def best_within_rooms(
    worth: np.ndarray,
    pair: np.ndarray,
    customer: np.ndarray,
    household: np.ndarray,
    customer_room: np.ndarray,
    household_room: np.ndarray,
) -> np.ndarray:
    """Options with the largest total worth, within the rooms only; positions in rising order.

    Pairs lie within customers and customers within households, so that taking the best of each, one
    layer after the other, is the greedy algorithm on a laminar matroid and exact (Edmonds, 1971).
    Of equal worth, the first is taken.

    Parameters
    ----------
    worth : array of shape (m,); options of 0 or less are never taken
    pair : array of shape (m,), rising; one option of each
    customer, household : arrays of shape (m,), codes; household -1 for none
    customer_room, household_room : arrays indexed by code
    """
    if not len(worth):
        return np.zeros(0, dtype=np.int64)
    first = np.flatnonzero(starts(pair))
    most = np.maximum.reduceat(worth, first)
    length = np.diff(np.append(first, len(worth)))
    best = np.flatnonzero((worth == np.repeat(most, length)) & (worth > 0))
    best = best[starts(pair[best])]
    best = best[_top(worth[best], customer[best], customer_room)]
    return best[_top(worth[best], household[best], household_room)]


def _top(worth: np.ndarray, group: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Mask of the `room[group]` rows of most worth of each group; all of group -1."""
    kept = np.ones(len(worth), dtype=bool)
    grouped = group >= 0
    count = np.bincount(group[grouped], minlength=len(room))
    crowded = np.zeros(len(room) + 1, dtype=bool)
    crowded[:-1] = count > room
    rows = np.flatnonzero(crowded[group])
    order = rows[np.lexsort((-worth[rows], group[rows]))]
    begins = starts(group[order])
    place = np.arange(len(order))
    rank = place - np.maximum.accumulate(np.where(begins, place, 0))
    kept[order] = rank < room[group[order]]
    return kept


@dataclass
class Left:
    """The remainder of each limit while options are taken one by one."""

    customer: list[int]
    household: list[int]
    channel: list[float]
    manager: list[float]
    budget: float

    @classmethod
    def of(cls, problem: Problem) -> Left:
        # The last place, without limit, is that of code -1: no household, no manager.
        return cls(
            problem.customer_room.tolist(),
            [*problem.household_room.tolist(), len(problem) + 1],
            problem.channel_capacity.tolist(),
            [*problem.manager_capacity.tolist(), np.inf],
            allowed(problem.budget),
        )


def taken_in_order(problem: Problem, rows: np.ndarray) -> np.ndarray:
    """Mask of shape (n,): each of `rows` in turn is taken if every limit still allows it."""
    left = Left.of(problem)
    taken = np.zeros(len(problem), dtype=bool)
    offered: set[tuple[int, int]] = set()
    for start in range(0, len(rows), CHUNK):
        _take_chunk(problem, rows[start : start + CHUNK], left, offered, taken)
    return taken


def _take_chunk(
    problem: Problem,
    rows: np.ndarray,
    left: Left,
    offered: set[tuple[int, int]],
    taken: np.ndarray,
) -> None:
    customers, households = left.customer, left.household
    channels, managers = left.channel, left.manager
    for limit, code in (
        (customers, problem.customer),
        (channels, problem.channel),
        (managers, problem.manager),
    ):
        rows = rows[np.array(limit)[code[rows]] > 0]
    rows = rows[problem.cost[rows] <= left.budget]
    columns = (
        getattr(problem, name)[rows].tolist()
        for name in ("customer", "household", "offer", "channel", "manager", "cost")
    )
    for row, c, h, o, k, m, cost in zip(rows.tolist(), *columns, strict=True):
        if (
            customers[c] > 0
            and households[h] > 0
            and channels[k] > 0
            and managers[m] > 0
            and cost <= left.budget
            and (c, o) not in offered
        ):
            customers[c] -= 1
            households[h] -= 1
            channels[k] -= 1
            managers[m] -= 1
            left.budget -= cost
            offered.add((c, o))
            taken[row] = True


def stable_order(problem: Problem, rows: np.ndarray, score: np.ndarray) -> np.ndarray:
    """`rows` by falling score; equal ones by customer, offer, channel, manager, profit, cost.

    Parameters
    ----------
    score : array of the shape of `rows`
    """
    return rows[
        np.lexsort(
            (
                problem.cost[rows],
                -problem.profit[rows],
                problem.manager[rows],
                problem.channel[rows],
                problem.offer[rows],
                problem.customer[rows],
                -score,
            )
        )
    ]


def greedy(problem: Problem, order: np.ndarray, *, only_profitable: bool = True) -> Plan:
    """Take options by falling score as long as every limit allows it.

    Parameters
    ----------
    order : array of shape (n,), any score; NaN is never taken
    only_profitable : leave out options whose profit is 0 or less, as the optimiser does

    Returns
    -------
    Plan without bound and without shadow prices

    Raises
    ------
    ValueError
        When scores and options differ in number.
    """
    score = np.asarray(order, dtype=float)
    if score.shape != (len(problem),):
        raise ValueError(f"scores are invalid: expected {len(problem)}, got shape {score.shape}")
    rows = np.flatnonzero(_takeable(problem, only_profitable) & ~np.isnan(score))
    return _plan(problem, stable_order(problem, rows, score[rows]), "greedy")


def at_random(problem: Problem, seed: int, *, only_profitable: bool = True) -> Plan:
    """Take options in random order as long as every limit allows it; see `greedy`.

    The draw depends on the option, not on its row: rows in another order give the same plan.
    """
    rows = np.flatnonzero(_takeable(problem, only_profitable))
    rows = stable_order(problem, rows, np.zeros(len(rows)))
    drawn = np.random.default_rng(seed).permutation(len(rows))
    return _plan(problem, rows[drawn], "random")


def _takeable(problem: Problem, only_profitable: bool) -> np.ndarray:
    return possible(problem) & ((problem.profit > 0) | (not only_profitable))


def _plan(problem: Problem, rows: np.ndarray, method: str) -> Plan:
    taken = taken_in_order(problem, rows)
    channel = np.full(len(problem.channel_capacity), np.nan)
    manager = np.full(len(problem.manager_capacity), np.nan)
    prices = price_table(problem, taken, channel, manager, np.nan)
    return Plan(taken, float(problem.profit[taken].sum()), None, method, prices)
