"""Large problems: prices of shared limits, a proven bound, and a plan repaired from the prices.

Lagrangian relaxation (Geoffrion, 1974; Fisher, 1981) of channels, managers and budget: at given
prices every household chooses for itself. Its dual function

    L(p) = sum over households of their best worth at p + capacity · p,   p >= 0

is an upper bound of every plan at any p, and its least value that of the linear relaxation, since
the households' own limits are a laminar matroid (the integrality property; Geoffrion, 1974). It is
minimised by cutting planes (Kelley, 1960), with a model for each block of households that share a
manager, and queried between the best prices and the model's (in-out; Ben-Ameur & Neto, 2007). The
model's value is a lower limit of the minimum and shows how near the search is; subgradient steps
(Held, Wolfe & Crowder, 1974) have no such limit, and need a step rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from ml.decisions.heuristics import best_within_rooms, taken_in_order
from ml.decisions.problem import Problem
from ml.decisions.reduction import Reduced, power_of_two

# The largest distance of the dual function from its minimum, as a share of its value.
DUAL_GAP = 2e-5
MOST_ROUNDS = 60
# The next point of the dual function, between the best prices (0) and the model's (1).
STEP = 0.3
# Blocks: more make the model finer and its linear programme longer.
FEWEST_BLOCKS, MOST_BLOCKS = 32, 256
# The most entries of the model's matrix: above, the half of the cuts that were not tight for
# longest is removed. Cuts that are removed sooner keep coming back.
MOST_ENTRIES = 200_000
# A plan this near to the bound, as a share of it, is not improved further.
AIM = 2e-3
# Relative perturbation of profits: a small one loses little, a large one separates more options.
BLURS = (3e-3, 1e-2)


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The dual function; profits and costs scaled by powers of two to about 1.

    Prices have shape (resources + 1,): channels and managers, then the budget.
    """

    reduced: Reduced
    profit: np.ndarray
    cost: np.ndarray
    capacity: np.ndarray
    ceiling: np.ndarray
    block: np.ndarray
    blocks: int

    @classmethod
    def of(cls, reduced: Reduced) -> Relaxation:
        profit = reduced.profit / power_of_two(reduced.profit.max(initial=0.0))
        cost_unit = power_of_two(reduced.cost.max(initial=0.0))
        bounded = np.isfinite(reduced.budget)
        cost = reduced.cost / cost_unit if bounded else np.zeros(len(reduced))
        budget = reduced.budget / cost_unit if bounded else 0.0
        block, blocks = _blocks(reduced)
        return cls(
            reduced,
            profit,
            cost,
            np.append(reduced.capacity, budget),
            _ceiling(reduced, profit, cost),
            block,
            blocks,
        )

    def blurred(self, blur: float) -> Relaxation:
        """The same with profits raised at random by up to `blur`, so that no two are equal."""
        drawn = np.random.default_rng(0).random(len(self.profit))
        return replace(self, profit=self.profit * (1 + blur * drawn))

    def unscaled(self, prices: np.ndarray) -> np.ndarray:
        """Prices in the units of the problem."""
        unit = power_of_two(self.reduced.profit.max(initial=0.0))
        made = prices * unit
        made[-1] /= power_of_two(self.reduced.cost.max(initial=0.0))
        return made

    def worth(self, prices: np.ndarray) -> np.ndarray:
        """Profit less the prices of what each option takes, shape (m,)."""
        by_place = np.append(prices, 0.0)
        taken = by_place[self.reduced.channel] + by_place[self.reduced.manager]
        return self.profit - taken - prices[-1] * self.cost

    def best(self, worth: np.ndarray) -> np.ndarray:
        """Positions that the households choose for themselves."""
        reduced = self.reduced
        return best_within_rooms(
            worth,
            reduced.pair,
            reduced.customer,
            reduced.household,
            reduced.customer_room,
            reduced.household_room,
        )

    def cuts(self, chosen: np.ndarray) -> tuple[np.ndarray, sparse.csr_array]:
        """Profit (blocks,) and use of each resource and the budget (blocks, resources + 1)."""
        block, reduced = self.block[chosen], self.reduced
        budget = np.full(len(chosen), reduced.resources)
        place = np.concatenate([reduced.channel[chosen], reduced.manager[chosen], budget])
        amount = np.concatenate([np.ones(2 * len(chosen)), self.cost[chosen]])
        row = np.tile(block, 3)
        real = place <= reduced.resources
        used = sparse.coo_array(
            (amount[real], (row[real], place[real])), shape=(self.blocks, len(self.capacity))
        ).tocsr()
        used.eliminate_zeros()
        return np.bincount(block, self.profit[chosen], self.blocks), used


def _blocks(reduced: Reduced) -> tuple[np.ndarray, int]:
    """Block of each option: households that share a manager, so that a cut has few prices."""
    alone = len(reduced.household_room) + reduced.customer
    family = np.where(reduced.household >= 0, reduced.household, alone)
    family = np.unique(family, return_inverse=True)[1]
    home = np.full(int(family.max(initial=-1)) + 1, reduced.without)
    np.minimum.at(home, family, reduced.manager)
    homes, home = np.unique(home, return_inverse=True)
    home = home * min(len(homes), MOST_BLOCKS) // max(len(homes), 1)
    parts = max(1, FEWEST_BLOCKS // max(len(homes), 1))
    block = home * parts + np.arange(len(home)) % parts
    names, block = np.unique(block, return_inverse=True)
    return block[family], len(names)


def _ceiling(reduced: Reduced, profit: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Prices at which nobody takes a resource: no least price of the dual lies above them."""
    ceiling = np.zeros(reduced.resources + 2)
    np.maximum.at(ceiling, reduced.channel, profit)
    np.maximum.at(ceiling, reduced.manager, profit)
    costly = cost > 0
    ceiling[-2] = (profit[costly] / cost[costly]).max(initial=0.0)
    return ceiling[:-1]


@dataclass
class Model:
    """Cutting planes of the dual function: value of block b >= profit − use · prices."""

    capacity: np.ndarray
    ceiling: np.ndarray
    blocks: int
    profit: np.ndarray = field(init=False)
    block: np.ndarray = field(init=False)
    idle: np.ndarray = field(init=False)
    use: sparse.csr_array = field(init=False)
    known: set[tuple[int, float, bytes, bytes]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.profit, self.block = np.zeros(0), np.zeros(0, dtype=np.int64)
        self.idle = np.zeros(0, dtype=np.int64)
        self.use = sparse.csr_array((0, len(self.capacity)))

    def add(self, profit: np.ndarray, use: sparse.csr_array) -> int:
        """Add the cuts that are not there yet; returns how many."""
        new = []
        for block in range(self.blocks):
            part = slice(use.indptr[block], use.indptr[block + 1])
            key = (
                block,
                float(profit[block]),
                use.indices[part].tobytes(),
                use.data[part].tobytes(),
            )
            if key not in self.known:
                self.known.add(key)
                new.append(block)
        self.profit = np.append(self.profit, profit[new])
        self.block = np.append(self.block, new).astype(np.int64)
        self.idle = np.append(self.idle, np.zeros(len(new), dtype=np.int64))
        self.use = sparse.vstack([self.use, use[new]]).tocsr()
        return len(new)

    def least(self) -> tuple[np.ndarray, float]:
        """Prices where the model is least, and its value there."""
        cuts, wide = len(self.profit), len(self.capacity)
        own = sparse.csr_array(
            (np.ones(cuts), (np.arange(cuts), self.block)), shape=(cuts, self.blocks)
        )
        highest = np.append(self.ceiling, np.full(self.blocks, np.inf))
        found = linprog(
            np.append(self.capacity, np.ones(self.blocks)),
            A_ub=sparse.hstack([-self.use, -own]).tocsr(),
            b_ub=-self.profit,
            bounds=np.column_stack([np.zeros(len(highest)), highest]),
            method="highs-ds",
        )
        if found.status != 0:
            raise RuntimeError(f"the model of the dual cannot be solved: {found.message}")
        self._forget(found.ineqlin.marginals != 0)
        return found.x[:wide], float(found.fun)

    def _forget(self, tight: np.ndarray) -> None:
        self.idle = np.where(tight, 0, self.idle + 1)
        if self.use.nnz > MOST_ENTRIES:
            kept = self.idle <= np.median(self.idle)
            self.profit, self.block = self.profit[kept], self.block[kept]
            self.idle, self.use = self.idle[kept], self.use[np.flatnonzero(kept)]


@dataclass(frozen=True, eq=False)
class Dual:
    """Prices found, scaled: the best, the model's last, the bound at the best, and whether it is
    as near to the least bound as was wanted."""

    best: np.ndarray
    last: np.ndarray
    bound: float
    rounds: int
    reached: bool


def minimised(dual: Relaxation) -> Dual:
    """Prices at which the dual function is least, to within `DUAL_GAP` or after `MOST_ROUNDS`."""
    model = Model(dual.capacity, dual.ceiling, dual.blocks)
    prices = best = last = np.zeros(len(dual.capacity))
    least, lower, asked_model = np.inf, 0.0, False
    for rounds in range(1, MOST_ROUNDS + 1):
        worth = dual.worth(prices)
        chosen = dual.best(worth)
        value = float(worth[chosen].sum() + dual.capacity @ prices)
        if value < least:
            least, best = value, prices
        profit, use = dual.cuts(chosen)
        new = model.add(profit, use)
        if rounds == 1 and (use.sum(axis=0) <= dual.capacity).all():
            return Dual(best, best, least, rounds, True)
        last, low = model.least()
        lower = max(lower, low)
        if least - lower <= DUAL_GAP * abs(least) or (asked_model and not new):
            return Dual(best, last, least, rounds, True)
        # Without a new cut the model stays as it is; its own prices then always bring one.
        asked_model = not new
        prices = last if asked_model else best + STEP * (last - best)
    return Dual(best, last, least, MOST_ROUNDS, False)


def repaired(problem: Problem, dual: Relaxation, prices: np.ndarray) -> np.ndarray:
    """Mask (n,) of a plan within all limits: options by falling worth at the prices.

    If a resource is exceeded, its options of least worth are replaced by the next best ones, or
    removed; the remaining capacity is then filled with options that still fit.
    """
    order = np.argsort(-dual.worth(prices), kind="stable")
    return taken_in_order(problem, dual.reduced.rows[order])


def near_optimum(problem: Problem, reduced: Reduced) -> tuple[np.ndarray, float, np.ndarray]:
    """Mask (n,) of a plan, a proven bound of every plan, and the prices of the bound.

    If many options are equal, prices alone do not determine which of them to take (with one profit
    for all, the repair alone was 64 % below the bound). The search is then repeated with profits
    raised at random by up to each of `BLURS`; the bound is always that of the true profits.
    """
    dual = Relaxation.of(reduced)
    found = minimised(dual)
    prices, bound = found.best, found.bound
    plan, profit = _best_plan(problem, dual, dual, found)
    for blur in BLURS:
        # If the prices have not converged, equal options are not the cause.
        if bound - profit <= AIM * bound or not found.reached:
            break
        blurred = dual.blurred(blur)
        other, other_profit = _best_plan(problem, dual, blurred, minimised(blurred))
        if other_profit > profit:
            plan, profit = other, other_profit
    unit = power_of_two(reduced.profit.max(initial=0.0))
    return plan, bound * unit, dual.unscaled(prices)


def _best_plan(
    problem: Problem, dual: Relaxation, blurred: Relaxation, found: Dual
) -> tuple[np.ndarray, float]:
    """The better of the plans repaired from the prices found, and its scaled profit."""
    plans = [repaired(problem, blurred, prices) for prices in (found.best, found.last)]
    profits = [float(dual.profit[plan[dual.reduced.rows]].sum()) for plan in plans]
    better = int(np.argmax(profits))
    return plans[better], profits[better]
