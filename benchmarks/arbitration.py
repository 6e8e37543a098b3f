"""Benchmark the arbitration of a contact plan against HiGHS's linear relaxation and greedy.

A bank of 100,000 customers with eight offers and four channels, visits by some hundred managers,
households, a budget. Each side reads the same options and works in a process of its own; the time
is that of the work, without imports and reading. The linear relaxation proves a bound as well, but
its solution takes fractions of options; greedy takes whole ones and proves nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np

from benchmarks.measuring import Row, Run, in_process, median
from ml.decisions.problem import Problem
from orchestration.platform.settings import Settings

SEED = 11
OFFERS = 8
# Visit, call, e-mail, app: the effect on uplift, the cost of a contact, the share reached by it.
LIFT = np.array([1.0, 0.55, 0.2, 0.15])
CONTACT_COST = np.array([24.0, 7.0, 0.3, 0.1])
REACHED = np.array([1.0, 0.8, 0.7, 0.5])
CUSTOMERS_A_MANAGER = 350


def drawn(customers: int) -> Problem:
    """Options of a bank: about 16 a customer, half of them with a profit."""
    draw = np.random.default_rng(SEED)
    managers = max(2, customers // CUSTOMERS_A_MANAGER)
    managed = draw.random(customers) < 0.8
    own = np.where(managed, draw.integers(0, managers, customers), -1)
    at_home = np.flatnonzero(draw.random(customers) < 0.4)
    households = max(1, len(at_home) // 2)
    home = np.full(customers, -1)
    home[at_home] = draw.integers(0, households, len(at_home))
    reached = draw.random((customers, 4)) < REACHED
    reached[:, 0] = managed
    eligible = draw.random((customers, OFFERS)) < 0.7
    c, o, k = np.nonzero(eligible[:, :, None] & reached[:, None, :])
    worth = draw.lognormal(0, 0.8, customers)[c] * draw.lognormal(3.6, 0.6, OFFERS)[o]
    uplift = np.clip(draw.normal(0.12, 0.12, (customers, OFFERS)), -0.1, None)[c, o]
    incentive = draw.choice([0.0, 5.0, 10.0, 20.0], OFFERS)[o] * np.clip(uplift, 0, 1)
    gain = uplift * LIFT[k] * worth * draw.lognormal(0, 0.2, len(c))
    return Problem(
        customer=c,
        household=home[c],
        offer=o,
        channel=k,
        manager=np.where(k == 0, own[c], -1),
        profit=np.round(10 * gain - incentive - CONTACT_COST[k], 2),
        cost=np.round(CONTACT_COST[k] + incentive * LIFT[k], 2),
        customer_room=np.ones(customers, dtype=int),
        household_room=np.ones(households, dtype=int),
        channel_capacity=np.array([customers // 8, customers // 10, customers // 4, np.inf]),
        manager_capacity=draw.integers(10, 45, managers),
        budget=2.2 * customers,
    )


def ours(problem: Problem) -> dict[str, float | str | None]:
    from ml.decisions.arbitration import solve

    plan = solve(problem)
    return {"profit": plan.profit, "bound": plan.bound, "gap": plan.gap, "method": plan.method}


def relaxation(problem: Problem) -> dict[str, float | str | None]:
    """HiGHS on the options that are left after the same reduction."""
    from ml.decisions import exact
    from ml.decisions.reduction import reduce

    return {"bound": exact.relaxation(reduce(problem))[0]}


def greedy(problem: Problem) -> dict[str, float | str | None]:
    """By profit."""
    from ml.decisions.arbitration import greedy

    return {"profit": greedy(problem, problem.profit).profit}


SIDES: dict[str, Callable[[Problem], dict[str, float | str | None]]] = {
    "ours": ours,
    "relaxation": relaxation,
    "greedy": greedy,
}


def measure(settings: Settings, customers: int, relaxed_customers: int, rounds: int) -> list[Row]:
    """The rows of `make bench`: beside HiGHS on a smaller bank, whose time grows faster than its
    size, and beside greedy on the whole one."""
    home = settings.home / "bench" / f"plan-{customers}"
    home.mkdir(parents=True, exist_ok=True)
    small, small_found, options = _measured(home, relaxed_customers, ("ours", "relaxation"), rounds)
    small_plan = small_found["ours"]
    apart = small_plan["bound"] / small_found["relaxation"]["bound"] - 1
    whole, found, many = _measured(home, customers, ("ours", "greedy"), rounds)
    plan = found["ours"]
    times = plan["profit"] / found["greedy"]["profit"]
    return [
        Row(
            f"contact plan of {relaxed_customers:,} customers, {options:,} options",
            median(small["ours"]),
            median(small["relaxation"]),
            "HiGHS, LP",
            f"{small_plan['method']}, gap {small_plan['gap']:.4%}, bound {apart:.4%} above that of "
            "the relaxation; peak memory is of the whole process",
        ),
        Row(
            f"contact plan of {customers:,} customers, {many:,} options",
            median(whole["ours"]),
            median(whole["greedy"]),
            "greedy",
            f"{plan['method']}, gap {plan['gap']:.4%}, {times:.3f} times the profit of greedy, "
            "which proves no bound",
        ),
    ]


def _measured(
    home: Path, customers: int, sides: tuple[str, ...], rounds: int
) -> tuple[dict[str, list[Run]], dict[str, dict], int]:
    problem = drawn(customers)
    data = home / f"options-{customers}.npz"
    np.savez(data, **{field.name: getattr(problem, field.name) for field in fields(problem)})
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    found: dict[str, dict] = {}
    for _ in range(rounds):
        for side in sides:
            result = home / f"{side}.json"
            run = in_process(
                [sys.executable, "-m", "benchmarks.arbitration", side, str(data), str(result)],
                home / "bench.log",
            )
            seconds, found[side] = json.loads(result.read_text())
            runs[side].append(Run(seconds, run.peak_bytes))
    return runs, found, len(problem)


if __name__ == "__main__":
    with np.load(sys.argv[2]) as stored:
        options = Problem(**{**stored, "budget": float(stored["budget"])})
    began = time.monotonic()
    outcome = SIDES[sys.argv[1]](options)
    Path(sys.argv[3]).write_text(json.dumps([time.monotonic() - began, outcome]))
