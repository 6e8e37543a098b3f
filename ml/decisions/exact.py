"""The optimum of small problems by branch and bound, and the prices of its relaxation."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from ml.decisions.reduction import Reduced, power_of_two

# A limit of nodes, not of time, so that results do not depend on the machine.
MOST_NODES = 200
RELATIVE_GAP = 1e-6
# The solver's tolerances are absolute: the largest profit and the largest cost are scaled to this.
LARGEST = 1_024.0


def rows_of_limits(reduced: Reduced) -> tuple[sparse.csr_array, np.ndarray, int]:
    """Coefficients (rows, m) and right-hand sides of every limit that can bind.

    The third value is the number of shared limits, which come last: resources, and the budget if it
    can run short. Costs and budget are scaled by `cost_scale`.
    """
    m = len(reduced)
    blocks, limits = [], []
    for code, room in (
        (reduced.pair, np.ones(m, dtype=np.int64)),
        (reduced.customer, reduced.customer_room),
        (reduced.household, reduced.household_room),
    ):
        matrix, limit = _crowded(code, room)
        blocks.append(matrix)
        limits.append(limit)
    place = np.arange(m)
    columns = np.concatenate([place, place])
    resource = np.concatenate([reduced.channel, reduced.manager])
    used = resource < reduced.resources
    shape = (reduced.resources, m)
    blocks.append(
        sparse.csr_array((np.ones(int(used.sum())), (resource[used], columns[used])), shape=shape)
    )
    limits.append(reduced.capacity)
    shared = reduced.resources
    if np.isfinite(reduced.budget):
        scale = cost_scale(reduced)
        blocks.append(sparse.csr_array(reduced.cost[None, :] / scale))
        limits.append(np.array([reduced.budget / scale]))
        shared += 1
    return sparse.vstack(blocks).tocsr(), np.concatenate(limits), shared


def _crowded(code: np.ndarray, room: np.ndarray) -> tuple[sparse.csr_array, np.ndarray]:
    """A row for each group with more options than room."""
    inside = np.flatnonzero(code >= 0)
    count = np.bincount(code[inside], minlength=len(room))
    crowded = np.flatnonzero(count > room)
    number = np.full(len(room), -1)
    number[crowded] = np.arange(len(crowded))
    inside = inside[number[code[inside]] >= 0]
    matrix = sparse.csr_array(
        (np.ones(len(inside)), (number[code[inside]], inside)), shape=(len(crowded), len(code))
    )
    return matrix, room[crowded].astype(float)


def profit_scale(reduced: Reduced) -> float:
    return power_of_two(reduced.profit.max(initial=0.0)) / LARGEST


def cost_scale(reduced: Reduced) -> float:
    return power_of_two(reduced.cost.max(initial=0.0)) / LARGEST


def optimum(reduced: Reduced) -> tuple[np.ndarray, float, bool]:
    """Mask (m,) of the best choice found, a proven bound, and whether it is the optimum.

    HiGHS (Huangfu & Hall, 2018) through scipy; branching stops after `MOST_NODES`, with an empty
    choice and an infinite bound if nothing was found.
    """
    matrix, limit, _ = rows_of_limits(reduced)
    scale = profit_scale(reduced)
    found = milp(
        -reduced.profit / scale,
        integrality=np.ones(len(reduced)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, -np.inf, limit),
        options={"mip_rel_gap": RELATIVE_GAP, "node_limit": MOST_NODES},
    )
    chosen = np.zeros(len(reduced), dtype=bool) if found.x is None else found.x > 0.5
    bound = np.inf if found.mip_dual_bound is None else -float(found.mip_dual_bound) * scale
    return chosen, bound, found.status == 0


def relaxation(reduced: Reduced) -> tuple[float, np.ndarray]:
    """Value of the linear relaxation, and the prices of the resources and, last, of the budget.

    Prices are HiGHS's marginals: the profit that one more unit of capacity would bring. Where the
    optimum is degenerate they are one of several supporting prices.

    Raises
    ------
    RuntimeError
        When the solver finds no optimum.
    """
    matrix, limit, shared = rows_of_limits(reduced)
    scale = profit_scale(reduced)
    found = linprog(-reduced.profit / scale, A_ub=matrix, b_ub=limit, bounds=(0, 1), method="highs")
    if found.status != 0:
        raise RuntimeError(f"the linear relaxation cannot be solved: {found.message}")
    prices = np.zeros(reduced.resources + 1)
    marginals = -found.ineqlin.marginals[len(limit) - shared :] * scale
    prices[:shared] = np.maximum(marginals, 0.0)
    if shared > reduced.resources:
        prices[-1] /= cost_scale(reduced)
    return -float(found.fun) * scale, prices
