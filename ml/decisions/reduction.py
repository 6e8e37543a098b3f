"""Reduce a problem to a smaller one with the same optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.decisions.problem import NONE, Problem


@dataclass(frozen=True, eq=False)
class Reduced:
    """The remaining options of a problem, in an order that depends on their values only.

    Resources are the channels and managers that can run short, numbered from 0; the budget comes
    after them, and a last place, always without price, represents a resource that is not needed.

    Attributes
    ----------
    rows : array of shape (m,), positions in the problem
    customer, household, offer : arrays of shape (m,), codes; options of a customer lie together
    pair : array of shape (m,), number of the customer and offer (of the customer alone where nobody
        has room for two), rising; one option of each pair at most
    channel, manager : arrays of shape (m,), number of the resource
    profit, cost : arrays of shape (m,)
    capacity : array of shape (resources,)
    channel_code, manager_code : arrays, codes of the resources: channels first, then managers
    budget : infinity where it cannot run short
    """

    rows: np.ndarray
    customer: np.ndarray
    household: np.ndarray
    offer: np.ndarray
    pair: np.ndarray
    channel: np.ndarray
    manager: np.ndarray
    profit: np.ndarray
    cost: np.ndarray
    customer_room: np.ndarray
    household_room: np.ndarray
    capacity: np.ndarray
    channel_code: np.ndarray
    manager_code: np.ndarray
    budget: float

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def resources(self) -> int:
        """Channels and managers that can run short."""
        return len(self.capacity)

    @property
    def without(self) -> int:
        """The place of a resource that is not needed."""
        return self.resources + 1


def reduce(problem: Problem) -> Reduced:
    """Leave out options that no optimal plan needs.

    These are options without profit; those of a customer, household, channel or manager without
    room; those that cost more than the budget; and those dominated by another of the same customer
    that uses the same resources, costs no more and has no less profit (for customers with room for
    several, of the same offer only). Capacities that exceed all options together are no limits.
    """
    rows = np.flatnonzero(possible(problem) & (problem.profit > 0))
    channel, channel_code = _resources(problem.channel[rows], problem.channel_capacity, 0)
    manager, manager_code = _resources(
        problem.manager[rows], problem.manager_capacity, len(channel_code)
    )
    several = bool((problem.customer_room[problem.customer[rows]] > 1).any())
    offer = problem.offer[rows] if several else np.zeros(len(rows), dtype=np.int32)
    group = _joined(problem.customer[rows], offer, channel, manager)
    cost, profit = problem.cost[rows], problem.profit[rows]
    tie = _joined(problem.offer[rows], problem.channel[rows], problem.manager[rows])
    order = np.lexsort((tie, -profit, cost, group))
    order = order[_undominated(group[order], profit[order])]
    rows, channel, manager = rows[order], channel[order], manager[order]
    customer = problem.customer[rows]
    pair = np.cumsum(starts(customer, offer[order])) - 1
    capacity = np.concatenate(
        [problem.channel_capacity[channel_code], problem.manager_capacity[manager_code]]
    )
    without = len(capacity) + 1
    spends = problem.cost[rows].sum() > problem.budget
    return Reduced(
        rows=rows,
        customer=customer,
        household=problem.household[rows],
        offer=problem.offer[rows],
        pair=pair,
        channel=np.where(channel == NONE, without, channel),
        manager=np.where(manager == NONE, without, manager),
        profit=problem.profit[rows],
        cost=problem.cost[rows],
        customer_room=problem.customer_room,
        household_room=problem.household_room,
        capacity=capacity,
        channel_code=channel_code,
        manager_code=manager_code,
        budget=problem.budget if spends else np.inf,
    )


def roomy(problem: Problem) -> np.ndarray:
    """Options whose customer and household have room, shape (n,)."""
    at_home = problem.household >= 0
    room = problem.customer_room[problem.customer] > 0
    room[at_home] &= problem.household_room[problem.household[at_home]] > 0
    return room


def possible(problem: Problem) -> np.ndarray:
    """Options that could be taken if they were the only one, shape (n,)."""
    needed = problem.manager >= 0
    room = roomy(problem) & (problem.channel_capacity[problem.channel] > 0)
    room[needed] &= problem.manager_capacity[problem.manager[needed]] > 0
    return room & (problem.cost <= problem.budget)


def _resources(
    codes: np.ndarray, capacity: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Number of each option's resource, -1 where it cannot run short, and the codes numbered."""
    count = np.bincount(codes[codes >= 0], minlength=len(capacity))
    short = np.flatnonzero(count > capacity)
    number = np.full(len(capacity) + 1, NONE, dtype=np.int32)
    number[short] = first + np.arange(len(short))
    return number[codes], short


def _joined(*codes: np.ndarray) -> np.ndarray:
    """One whole number for each combination of codes from -1, in their lexical order."""
    joined = np.zeros(len(codes[0]), dtype=np.int64)
    size = 1
    for code in codes:
        number = int(code.max(initial=NONE)) + 2
        size *= number
        if size > np.iinfo(np.int64).max:
            joined = np.unique(joined, return_inverse=True)[1].astype(np.int64)
            size = (int(joined.max(initial=0)) + 1) * number
        joined = joined * number + (code + 1)
    return joined


def starts(*codes: np.ndarray) -> np.ndarray:
    """Where a new combination begins in sorted rows, shape (n,)."""
    new = np.zeros(len(codes[0]), dtype=bool)
    new[:1] = True
    for code in codes:
        new[1:] |= code[1:] != code[:-1]
    return new


def _undominated(group: np.ndarray, profit: np.ndarray) -> np.ndarray:
    """Rows with more profit than all before them in their group; groups sorted by cost.

    Ranks are compared, not figures: combined with the group's number, a running maximum restarts in
    each group and stays exact.
    """
    rank = np.unique(profit, return_inverse=True)[1].astype(np.int64)
    number = np.cumsum(starts(group)) - 1
    height = number * (len(profit) + 1) + rank + 1
    before = np.maximum.accumulate(np.concatenate([[0], height[:-1]]))
    return height > np.maximum(before, number * (len(profit) + 1))


def power_of_two(figure: float) -> float:
    """The largest power of two up to a figure, 1 for 0: scaling by it changes no digit."""
    return float(2.0 ** np.floor(np.log2(figure))) if figure > 0 else 1.0
