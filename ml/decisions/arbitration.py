"""Arbitration of a contact plan: which customer gets which offer through which channel.

`solve` proves the quality of its plan: small problems exactly, large ones by Lagrangian relaxation.
Its shadow prices are the profit of one more unit of each shared limit, and determine the offers
that customers outside the problem (a control group) would have had.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from ml.decisions import exact, lagrangian
from ml.decisions.heuristics import at_random, best_within_rooms, greedy, stable_order
from ml.decisions.problem import PRICE_COLUMNS, Plan, Problem, price_table, violations
from ml.decisions.reduction import Reduced, reduce, roomy, starts

# The most options after reduction for which branch and bound is tried.
EXACT_LIMIT = 2_000
# Worth below this share of the profit is a rounding error of the prices.
NOTHING = 1e-9


def solve(problem: Problem, exact_limit: int = EXACT_LIMIT) -> Plan:
    """The plan of most profit within all limits, with a proven bound and shadow prices.

    The plan does not depend on the order of the rows; of options equal in every value, any may be
    chosen.

    Parameters
    ----------
    problem : Problem
    exact_limit : most options (after `reduction.reduce`) to solve to the optimum; 0 never does

    Returns
    -------
    Plan, method "exact" (the optimum, to a millionth; prices: duals of the linear relaxation) or
    "lagrangian" (prices: the multipliers of the bound; also if branch and bound did not finish). A
    channel or manager of capacity 0, or a budget of 0, has the least price at which no option uses
    it, an upper bound of the profit of its first unit.

    References
    ----------
    Fisher, M. L. (1981). The Lagrangian relaxation method for solving integer programming problems.
    Management Science 27(1).
    Geoffrion, A. M. (1974). Lagrangean relaxation for integer programming. Mathematical Programming
    Study 2.
    Huangfu, Q. & Hall, J. A. J. (2018). Parallelizing the dual revised simplex method.
    Mathematical Programming Computation 10.
    """
    reduced = reduce(problem)
    chosen, bound, prices, method = _found(problem, reduced, exact_limit)
    rows = reduced.rows[chosen[reduced.rows]]
    # Exactly rounded: rows in another order give the same figure.
    profit = math.fsum(problem.profit[rows])
    channel, manager, budget = _all_prices(problem, reduced, prices)
    table = price_table(problem, chosen, channel, manager, budget)
    return Plan(chosen, profit, max(bound, profit), method, table)


def _found(
    problem: Problem, reduced: Reduced, exact_limit: int
) -> tuple[np.ndarray, float, np.ndarray, str]:
    if not len(reduced):
        return np.zeros(len(problem), dtype=bool), 0.0, np.zeros(1), "exact"
    if len(reduced) > exact_limit:
        chosen, bound, prices = lagrangian.near_optimum(problem, reduced)
        # If a single limit binds, the greedy plan may be slightly better.
        plain = greedy(problem, problem.profit)
        better = plain.profit > float(problem.profit[chosen].sum())
        return plain.chosen if better else chosen, bound, prices, "lagrangian"
    choice, bound, proven = exact.optimum(reduced)
    chosen = np.zeros(len(problem), dtype=bool)
    chosen[reduced.rows[choice]] = True
    # The solver's tolerance allows overspending: reject such a choice.
    sound = not violations(problem, chosen)
    if proven and sound:
        return chosen, bound, exact.relaxation(reduced)[1], "exact"
    other, other_bound, prices = lagrangian.near_optimum(problem, reduced)
    if not sound or problem.profit[other].sum() > problem.profit[chosen].sum():
        chosen = other
    return chosen, min(bound, other_bound), prices, "lagrangian"


def _all_prices(
    problem: Problem, reduced: Reduced, prices: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Prices by code of every channel and manager, and of the budget; closed ones as in `solve`."""
    channel = np.zeros(len(problem.channel_capacity))
    manager = np.zeros(len(problem.manager_capacity))
    channels = len(reduced.channel_code)
    channel[reduced.channel_code] = prices[:channels]
    manager[reduced.manager_code] = prices[channels:-1]
    budget = float(prices[-1])
    wanted = np.flatnonzero(roomy(problem) & (problem.profit > 0))
    k, m, cost = problem.channel[wanted], problem.manager[wanted], problem.cost[wanted]
    worth = problem.profit[wanted] - channel[k] - np.append(manager, 0.0)[m]
    if problem.budget == 0 and (cost > 0).any():
        budget = float((worth[cost > 0] / cost[cost > 0]).max(initial=0.0))
    worth = worth - budget * cost
    closed = problem.channel_capacity[k] == 0
    np.maximum.at(channel, k[closed], worth[closed])
    worth = np.where(closed, 0.0, worth)
    closed = (m >= 0) & (np.append(problem.manager_capacity, np.inf)[m] == 0)
    np.maximum.at(manager, m[closed], worth[closed])
    return channel, manager, budget


def reduced_profit(problem: Problem, prices: pd.DataFrame) -> np.ndarray:
    """Profit less the prices of the shared limits that each option uses: its negative reduced cost.

    Parameters
    ----------
    problem : options, also others than those the prices come from, with the same codes
    prices : table of `Plan.prices`

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    ValueError
        When a channel or manager of an option, or the budget, has no price or several.
    """
    channel = _prices_of(prices, "channel", problem.channel)
    manager = np.zeros(len(problem))
    needed = problem.manager >= 0
    manager[needed] = _prices_of(prices, "manager", problem.manager[needed])
    budget = prices.loc[prices["kind"] == "budget", "shadow_price"].to_numpy(float)
    if len(budget) != 1 or not np.isfinite(budget[0]):
        raise ValueError(
            f"prices are invalid: expected one price of the budget, got {budget.tolist()}"
        )
    return problem.profit - channel - manager - budget[0] * problem.cost


def _prices_of(prices: pd.DataFrame, kind: str, codes: np.ndarray) -> np.ndarray:
    """Price of each code, shape of `codes`."""
    rows = prices[prices["kind"] == kind]
    if rows["key"].duplicated().any():
        raise ValueError(f"prices are invalid: expected one price for each {kind}")
    known = pd.Series(rows["shadow_price"].to_numpy(float), rows["key"].to_numpy(int))
    found = known.reindex(codes).to_numpy(float)
    missing = np.isnan(found)
    if missing.any():
        raise ValueError(f"prices are invalid: {kind} {codes[np.argmax(missing)]} has no price")
    return found


def choose_at_prices(problem: Problem, prices: pd.DataFrame) -> np.ndarray:
    """The options that customers would have at these prices of shared capacity.

    Options of positive `reduced_profit`, the best within the rooms of customers and households;
    capacities and budget count through their prices only. This is the Lagrangian subproblem, solved
    exactly. A customer at the margin may have an option that did not fit into the plan.

    Returns
    -------
    mask of shape (n,)

    Raises
    ------
    ValueError
        As `reduced_profit`.
    """
    worth = reduced_profit(problem, prices)
    rows = np.flatnonzero(roomy(problem) & (worth > NOTHING * np.abs(problem.profit)))
    # Also stable for equal worth: the first by customer, offer and channel is taken.
    rows = stable_order(problem, rows, np.zeros(len(rows)))
    customer, offer = problem.customer[rows], problem.offer[rows]
    chosen = best_within_rooms(
        worth[rows],
        np.cumsum(starts(customer, offer)) - 1,
        customer,
        problem.household[rows],
        problem.customer_room,
        problem.household_room,
    )
    mask = np.zeros(len(problem), dtype=bool)
    mask[rows[chosen]] = True
    return mask


__all__ = [
    "EXACT_LIMIT",
    "PRICE_COLUMNS",
    "Plan",
    "Problem",
    "at_random",
    "choose_at_prices",
    "greedy",
    "reduced_profit",
    "solve",
    "violations",
]
