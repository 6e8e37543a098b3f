"""Arbitration: brute force, the linear relaxation, a second implementation, and every limit."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.decisions import exact, lagrangian
from ml.decisions.arbitration import (
    at_random,
    choose_at_prices,
    greedy,
    reduced_profit,
    solve,
    violations,
)
from ml.decisions.problem import OPTION_FIELDS, Problem
from ml.decisions.reduction import reduce

EMPTY = np.zeros(0, dtype=int)


def tiny(seed: int, n: int = 11) -> Problem:
    """A few options and limits that bind, among them rooms, capacities and budgets of 0."""
    draw = np.random.default_rng(seed)
    customers, managers = int(draw.integers(1, 5)), int(draw.integers(1, 3))
    home = draw.integers(-1, 2, customers)
    customer = draw.integers(0, customers, n)
    channel = draw.integers(0, 3, n)
    capacity = draw.integers(0, 5, 3).astype(float)
    capacity[draw.random(3) < 0.3] = np.inf
    return Problem(
        customer=customer,
        household=home[customer],
        offer=draw.integers(0, 3, n),
        channel=channel,
        manager=np.where(channel == 0, draw.integers(0, managers, n), -1),
        # Whole figures bring ties; some are below 0.
        profit=draw.integers(-3, 12, n) + (seed % 2) * draw.random(n),
        cost=draw.integers(0, 5, n) + (seed % 3 == 0) * draw.random(n),
        customer_room=draw.integers(0, 4, customers),
        household_room=draw.integers(0, 4, 2),
        channel_capacity=capacity,
        manager_capacity=draw.integers(0, 4, managers),
        budget=[0.0, 3.0, 8.5, 15.0, np.inf][seed % 5],
    )


def best_by_enumeration(problem: Problem, *, shared: bool = True, worth=None) -> float:
    """The most that any subset of options makes; without `shared`, within the rooms only."""
    taken = np.array(list(product([0, 1], repeat=len(problem))))

    def within(codes, limits):
        use = taken @ (codes[:, None] == np.arange(len(limits))[None, :])
        return (use <= np.asarray(limits)[None, :]).all(axis=1)

    pair = problem.customer * 100 + problem.offer
    allowed = within(problem.customer, problem.customer_room)
    allowed &= within(problem.household, problem.household_room)
    allowed &= within(pair, np.ones(pair.max() + 1))
    if shared:
        allowed &= within(problem.channel, problem.channel_capacity)
        allowed &= within(problem.manager, problem.manager_capacity)
        allowed &= taken @ problem.cost <= problem.budget + 1e-9
    return float((taken[allowed] @ (problem.profit if worth is None else worth)).max())


def bank(customers: int, seed: int = 11, offers: int = 8) -> Problem:
    """A contact plan as a bank has it: four channels, visits by the customer's own manager."""
    draw = np.random.default_rng(seed)
    managers = max(2, customers // 250)
    worth = draw.lognormal(0, 0.8, customers)
    own = np.where(draw.random(customers) < 0.8, draw.integers(0, managers, customers), -1)
    home = np.where(draw.random(customers) < 0.4, draw.integers(0, customers // 5, customers), -1)
    open_ = draw.random((customers, offers, 4)) < 0.55
    open_[:, :, 0] &= own[:, None] >= 0
    c, o, k = np.nonzero(open_)
    uplift = np.clip(draw.normal(0.12, 0.12, (customers, offers)), -0.1, None)[c, o]
    lift, cost = np.array([1.0, 0.55, 0.2, 0.15])[k], np.array([24.0, 7.0, 0.3, 0.1])[k]
    return Problem(
        customer=c,
        household=home[c],
        offer=o,
        channel=k,
        manager=np.where(k == 0, own[c], -1),
        profit=np.round(100 * uplift * worth[c] * lift * draw.lognormal(0, 0.2, len(c)) - cost, 2),
        cost=np.round(cost + 5 * lift * np.clip(uplift, 0, 1), 2),
        customer_room=np.ones(customers, dtype=int),
        household_room=np.ones(customers // 5, dtype=int),
        channel_capacity=[customers // 9, customers // 10, customers // 4, None],
        manager_capacity=draw.integers(8, 35, managers),
        budget=1.8 * customers,
    )


def shuffled(problem: Problem, seed: int = 1) -> tuple[Problem, np.ndarray]:
    rows = np.random.default_rng(seed).permutation(len(problem))
    return problem.take(rows), rows


def as_sets(problem: Problem, chosen: np.ndarray) -> list[tuple]:
    columns = [getattr(problem, name)[chosen].tolist() for name in OPTION_FIELDS]
    return sorted(zip(*columns, strict=True))


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_small_problems_are_solved_to_the_optimum(first):
    for seed in range(first, first + 25):
        problem = tiny(seed)
        plan = solve(problem)
        assert plan.method == "exact"
        assert plan.profit == pytest.approx(best_by_enumeration(problem), abs=1e-6), seed
        assert plan.profit == pytest.approx(problem.profit[plan.chosen].sum(), abs=1e-9)
        assert plan.bound - plan.profit <= 1e-5 and plan.gap <= 1e-6
        assert violations(problem, plan.chosen) == []


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_the_lagrangian_bound_holds_and_its_plan_keeps_every_limit(first):
    profits, optima = [], []
    for seed in range(first, first + 50):
        problem = tiny(seed)
        plan, optimum = solve(problem, exact_limit=0), best_by_enumeration(problem)
        assert plan.bound >= optimum - 1e-9, seed
        assert plan.profit <= optimum + 1e-9
        assert violations(problem, plan.chosen) == []
        profits.append(plan.profit)
        optima.append(optimum)
    assert sum(profits) >= 0.93 * sum(optima)


def test_a_plan_without_options_or_without_profit_is_empty():
    nothing = Problem(*[EMPTY] * 7, EMPTY, EMPTY, [], [], 10.0)
    plan = solve(nothing)
    assert (plan.profit, plan.bound, plan.gap, plan.chosen.shape) == (0.0, 0.0, 0.0, (0,))
    assert choose_at_prices(nothing, plan.prices).shape == (0,)
    assert greedy(nothing, np.zeros(0)).profit == at_random(nothing, 1).profit == 0
    loss = replace(tiny(4), profit=-np.ones(11))
    assert not solve(loss).chosen.any() and solve(loss).bound == 0
    assert not solve(loss, exact_limit=0).chosen.any()


def test_a_budget_of_zero_leaves_the_options_without_cost():
    problem = Problem(
        [0, 0, 1, 1], [-1] * 4, [0, 1, 0, 1], [0] * 4, [-1] * 4, [9, 2, 5, 4], [1, 0, 0, 0.5],
        [1, 1], [], [None], [], 0.0,
    )  # fmt: skip
    plan = solve(problem)
    assert plan.chosen.tolist() == [False, True, True, False]
    # 9 for a cost of 1, 4 for a cost of 0.5: from 9 a unit on, nobody spends.
    budget = plan.prices.set_index("kind").loc["budget"]
    assert (budget["shadow_price"], budget["used"], budget["key"]) == (9.0, 0.0, -1)


def test_room_for_several_never_takes_an_offer_twice():
    problem = Problem(
        [0] * 4, [-1] * 4, [0, 0, 1, 2], [0, 1, 0, 1], [-1] * 4, [9, 8, 3, 2], [0] * 4,
        [3], [], [None, None], [], np.inf,
    )  # fmt: skip
    for limit in (10, 0):
        assert solve(problem, limit).chosen.tolist() == [True, False, True, True]
    assert greedy(problem, problem.profit).chosen.tolist() == [True, False, True, True]


def test_a_household_shares_its_room_and_two_customers_a_manager():
    problem = Problem(
        customer=[0, 1, 2, 3], household=[0, 0, -1, -1], offer=[0] * 4, channel=[0] * 4,
        manager=[0, 0, 0, 0], profit=[10.0, 9.0, 8.0, 7.0], cost=[1.0] * 4,
        customer_room=[1] * 4, household_room=[1], channel_capacity=[None], manager_capacity=[2],
    )  # fmt: skip
    plan = solve(problem)
    assert plan.chosen.tolist() == [True, False, True, False]
    price = plan.prices.set_index("kind")["shadow_price"]
    # One more visit would bring the 7 of customer 3, one less would lose the 8 of customer 2; the
    # household's second is not for sale.
    assert 7 <= price["manager"] <= 8
    assert (price["channel"], price["budget"]) == (0.0, 0.0)
    assert plan.prices["used"].tolist() == [2, 2, 2]


@pytest.mark.slow
def test_prices_are_the_marginal_values_of_the_capacities():
    step, smooth = 1e-3, 0
    for seed in range(6):
        reduced = reduce(bank(120, seed))
        value, prices = exact.relaxation(reduced)

        def change(place, by, reduced=reduced, value=value):
            if place == reduced.resources:
                other = replace(reduced, budget=reduced.budget + by)
            else:
                one = np.arange(reduced.resources) == place
                other = replace(reduced, capacity=reduced.capacity + by * one)
            return (exact.relaxation(other)[0] - value) / by

        for place, price in enumerate(prices):
            if place == reduced.resources and np.isinf(reduced.budget):
                continue
            more, less = change(place, step), change(place, -step)
            assert more - 1e-5 <= price <= less + 1e-5
            # A whole unit lies within the same concave curve.
            assert change(place, 1.0) - 1e-6 <= price <= change(place, -1.0) + 1e-6
            smooth += price > 0.01 and less - more < 1e-5
    assert smooth >= 6


@pytest.mark.slow
def test_the_dual_function_meets_the_linear_relaxation():
    for seed in range(3):
        problem = bank(150, seed)
        reduced = reduce(problem)
        value, prices = exact.relaxation(reduced)
        plan = solve(problem)
        table = plan.prices
        assert plan.method == "exact" and plan.profit <= value + 1e-6
        # Strong duality, with the households' choice as the second implementation.
        finite = np.isfinite(table["capacity"].to_numpy(float))
        paid = (table["capacity"] * table["shadow_price"])[finite].sum()
        chosen = choose_at_prices(problem, table)
        assert reduced_profit(problem, table)[chosen].sum() + paid == pytest.approx(value, rel=1e-7)
        large = solve(problem, exact_limit=0)
        assert value - 1e-6 <= large.bound <= value * (1 + 2 * lagrangian.DUAL_GAP)
        # A few dozen contacts: what does not divide weighs more than in a bank.
        assert plan.profit <= large.bound and large.gap < 0.03


def test_the_bound_is_the_reduced_profit_plus_the_value_of_the_capacities():
    problem = bank(1_500)
    plan = solve(problem, exact_limit=0)
    table = plan.prices
    finite = np.isfinite(table["capacity"].to_numpy(float))
    paid = (table["capacity"] * table["shadow_price"])[finite].sum()
    worth = reduced_profit(problem, table)[choose_at_prices(problem, table)].sum()
    assert worth + paid == pytest.approx(plan.bound, rel=1e-9)
    assert (table["shadow_price"] >= 0).all()
    spare = table["used"] < 0.9 * table["capacity"]
    assert (table.loc[spare, "shadow_price"] < 1e-6).all() and spare.any()


def test_thousands_of_customers_come_within_a_hundredth_of_the_bound_in_seconds():
    problem = bank(5_000)
    began = time.process_time()
    plan = solve(problem)
    assert time.process_time() - began < 20
    assert plan.method == "lagrangian"
    assert plan.gap <= 0.01
    assert violations(problem, plan.chosen) == []
    # The limits bind: a plan that ignored their prices would be far away.
    assert greedy(problem, problem.profit).profit < 0.9 * plan.profit


@pytest.mark.parametrize("profit", ["one for all", "by channel", "by offer and channel"])
def test_equal_options_come_within_a_hundredth_of_the_bound(profit):
    problem = bank(2_000)
    by_offer = np.round(np.random.default_rng(3).uniform(5, 50, (8, 4)))
    figures = {
        "one for all": np.ones(len(problem)),
        # A search without blurred profits misses a fifth of the bound.
        "by channel": np.array([4.0, 3.0, 2.0, 1.0])[problem.channel],
        "by offer and channel": by_offer[problem.offer, problem.channel],
    }
    plan = solve(replace(problem, profit=figures[profit]), exact_limit=0)
    assert plan.gap <= 0.01
    assert violations(problem, plan.chosen) == []


def with_several_managers_and_rooms(problem: Problem) -> Problem:
    draw = np.random.default_rng(5)
    return replace(
        problem,
        manager=draw.integers(-1, len(problem.manager_capacity), len(problem)),
        customer_room=draw.integers(0, 4, len(problem.customer_room)),
        household_room=draw.integers(0, 5, len(problem.household_room)),
    )


def test_prices_short_of_the_models_own_are_found_in_fewer_rounds(monkeypatch):
    """At the model's own prices a search swings to and fro (Ben-Ameur and Neto, 2007)."""
    reduced = reduce(with_several_managers_and_rooms(bank(2_000)))
    dual = lagrangian.Relaxation.of(reduced)
    found = lagrangian.minimised(dual)
    monkeypatch.setattr(lagrangian, "STEP", 1.0)
    swinging = lagrangian.minimised(dual)
    assert found.reached and swinging.reached
    assert found.bound == pytest.approx(swinging.bound, rel=2 * lagrangian.DUAL_GAP)
    assert found.rounds < 0.75 * swinging.rounds


def test_customers_with_several_managers_and_rooms_come_within_a_hundredth():
    problem = with_several_managers_and_rooms(bank(2_000))
    plan = solve(problem, exact_limit=0)
    assert plan.gap <= 0.01
    assert violations(problem, plan.chosen) == []
    assert (np.bincount(problem.customer[plan.chosen]) > 1).any()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.booleans())
def test_every_method_keeps_every_limit(seed, n, only_profitable):
    problem = tiny(seed, n)
    score = np.random.default_rng(seed).normal(size=n)
    exact_plan, large = solve(problem), solve(problem, exact_limit=0)
    simple = [
        greedy(problem, score, only_profitable=only_profitable),
        greedy(problem, problem.profit, only_profitable=only_profitable),
        at_random(problem, seed, only_profitable=only_profitable),
    ]
    for plan in (exact_plan, large, *simple):
        assert violations(problem, plan.chosen) == []
        assert plan.profit <= exact_plan.profit + 1e-6
        assert plan.profit <= large.bound + 1e-6
        assert plan.prices["used"].iloc[:3].tolist() == [
            (problem.channel[plan.chosen] == code).sum() for code in range(3)
        ]
    assert all(plan.bound is None and plan.gap is None for plan in simple)


@pytest.mark.parametrize("limit", [0, 10_000])
def test_rows_in_another_order_give_the_same_plan(limit):
    for problem in (bank(150), replace(bank(150), profit=np.round(bank(150).profit, -1))):
        other, rows = shuffled(problem)
        plan, again = solve(problem, limit), solve(other, limit)
        assert as_sets(problem, plan.chosen) == as_sets(other, again.chosen)
        assert (plan.profit, plan.bound) == (again.profit, again.bound)
        pd.testing.assert_frame_equal(plan.prices, again.prices)
        assert (solve(problem, limit).chosen == plan.chosen).all()
        for one, two in (
            (greedy(problem, problem.profit), greedy(other, other.profit)),
            (at_random(problem, 7), at_random(other, 7)),
        ):
            assert as_sets(problem, one.chosen) == as_sets(other, two.chosen)
        chosen = choose_at_prices(problem, plan.prices)
        assert as_sets(problem, chosen) == as_sets(other, choose_at_prices(other, plan.prices))
        assert (chosen[rows] == choose_at_prices(other, plan.prices)).all()


@pytest.mark.slow
def test_branching_that_does_not_end_leaves_the_better_plan_and_the_lower_bound(monkeypatch):
    monkeypatch.setattr(exact, "MOST_NODES", 1)
    ended = []
    for seed in range(3):
        problem = bank(150, seed)
        plan, large = solve(problem, 10**6), solve(problem, 0)
        assert violations(problem, plan.chosen) == []
        assert large.profit <= plan.profit <= plan.bound <= large.bound + 1e-6
        ended.append(plan.method)
    assert "lagrangian" in ended


@pytest.mark.parametrize("limit", [0, 10_000])
def test_another_currency_gives_the_same_plan(limit):
    problem = bank(150)
    plan = solve(problem, limit)
    for rate in (1 / 1024, 4096.0):
        money = {name: getattr(problem, name) * rate for name in ("profit", "cost", "budget")}
        other = solve(replace(problem, **money), limit)
        assert (other.chosen == plan.chosen).all()
        assert other.bound == pytest.approx(plan.bound * rate, rel=1e-12)


def test_draws_differ_by_seed():
    problem = bank(300)
    assert (at_random(problem, 1).chosen != at_random(problem, 2).chosen).any()
    assert at_random(problem, 1).profit < greedy(problem, problem.profit).profit


def test_greedy_is_the_loop_over_falling_scores():
    problem = bank(300, 5)
    problem = replace(
        problem, customer_room=np.random.default_rng(1).integers(0, 3, 300), budget=300.0
    )
    score = np.random.default_rng(2).normal(size=len(problem))
    score[::50] = np.nan
    taken = np.zeros(len(problem), dtype=bool)
    for row in np.argsort(-score):
        if np.isnan(score[row]):
            continue
        taken[row] = True
        taken[row] = not violations(problem, taken)
    plan = greedy(problem, score, only_profitable=False)
    assert (plan.chosen == taken).all() and (problem.profit[taken] < 0).any()
    assert (problem.profit[greedy(problem, score).chosen] > 0).all()
    with pytest.raises(ValueError, match="scores are invalid: expected"):
        greedy(problem, score[1:])


def test_at_prices_the_best_within_rooms_is_chosen():
    for seed in range(60):
        problem = tiny(seed)
        table = solve(problem).prices
        draw = np.random.default_rng(seed)
        table = table.assign(shadow_price=np.round(draw.exponential(1.0, len(table)), 1))
        worth = reduced_profit(problem, table)
        chosen = choose_at_prices(problem, table)
        best = best_by_enumeration(problem, shared=False, worth=worth)
        assert worth[chosen].sum() == pytest.approx(best, abs=1e-9), seed
        assert (worth[chosen] > 0).all()


def test_reduced_profit_takes_off_each_shared_price():
    problem = Problem(
        [0, 1], [0, 0], [0, 0], [0, 1], [2, -1], [20.0, 9.0], [4.0, 2.0],
        [1, 1], [1], [5, 5], [1, 1, 1], 10.0,
    )  # fmt: skip
    prices = pd.DataFrame(
        {
            "kind": ["channel", "channel", "manager", "budget"],
            "key": [0, 1, 2, -1],
            "shadow_price": [3.0, 1.0, 5.0, 0.5],
        }
    )
    assert reduced_profit(problem, prices).tolist() == [20 - 3 - 5 - 2, 9 - 1 - 1]
    assert choose_at_prices(problem, prices).tolist() == [True, False]
    for kind, words in (
        ("channel", "channel 0 has no price"),
        ("manager", "manager 2 has no price"),
        ("budget", "one price of the budget"),
    ):
        with pytest.raises(ValueError, match=words):
            reduced_profit(problem, prices[prices["kind"] != kind])
    with pytest.raises(ValueError, match="expected one price for each"):
        reduced_profit(problem, pd.concat([prices, prices.iloc[:1]]))
    with pytest.raises(ValueError, match="channel 0 has no price"):
        reduced_profit(problem, greedy(problem, problem.profit).prices)


def test_a_control_group_gets_the_offers_of_the_same_prices_and_no_closed_channel():
    problem = bank(1_000)
    held_out = problem.customer % 10 == 0
    limits = replace(problem, channel_capacity=[0, 60, 150, None], budget=900.0)
    for limit in (0, 10**6):
        plan = solve(limits.take(~held_out), limit)
        control = limits.take(held_out)
        chosen = choose_at_prices(control, plan.prices)
        assert chosen.any() and not (control.channel[chosen] == 0).any()
        # The held-out tenth is like the others: about as much of it is offered something.
        share = chosen.sum() / 100, plan.chosen.sum() / 900
        assert abs(share[0] - share[1]) < 0.2


def test_the_price_of_a_closed_channel_excludes_every_option():
    problem = Problem(
        [0, 1, 1], [-1] * 3, [0, 0, 0], [0, 0, 1], [0, 1, -1], [8.0, 6.0, 5.0], [0.0] * 3,
        [1, 1], [], [0, None], [0, 3], np.inf,
    )  # fmt: skip
    for limit in (0, 10):
        plan = solve(problem, limit)
        assert plan.chosen.tolist() == [False, False, True]
        price = plan.prices.set_index(["kind", "key"])["shadow_price"]
        assert (price["channel", 0], price["manager", 0], price["manager", 1]) == (8.0, 0.0, 0.0)
        assert (choose_at_prices(problem, plan.prices) == plan.chosen).all()


@pytest.mark.slow
def test_options_that_no_best_plan_needs_are_left_out():
    problem = bank(200)
    # Where an offer costs nothing of its own, one a channel is left to each customer.
    problem = replace(problem, cost=np.array([24.0, 7.0, 0.3, 0.1])[problem.channel])
    reduced = reduce(problem)
    assert len(reduced) < 0.4 * (problem.profit > 0).sum()
    kept = problem.take(reduced.rows)
    assert exact.relaxation(reduce(kept))[0] == pytest.approx(exact.relaxation(reduced)[0])
    assert solve(kept).profit == pytest.approx(solve(problem).profit, rel=1e-5)


def test_broken_limits_are_described_in_words():
    problem = Problem(
        [0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, -1], [1.0] * 3, [2.0] * 3,
        [1, 0], [2], [1, None], [1], 5.0,
    )  # fmt: skip
    assert violations(problem, np.array([0])) == []
    assert violations(problem, np.ones(3, dtype=bool)) == [
        "customer 0: offer 1 is made 2 times",
        "customer 0: 2 options, room for 1",
        "customer 1: 1 options, room for 0",
        "household 0: 3 options, room for 2",
        "channel 0: 2 options, room for 1",
        "manager 0: 2 options, room for 1",
        "budget: 6.00 spent of 5.00",
    ]
    for chosen, words in (
        (np.ones(2, dtype=bool), "mask is invalid: expected 3 options"),
        (np.array([3]), "positions are invalid: expected 0 to"),
        (np.array([1, 1]), "expected each option once"),
    ):
        with pytest.raises(ValueError, match=words):
            violations(problem, chosen)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"profit": [1.0]}, "expected one value of each field per option"),
        ({"profit": [1.0, np.nan]}, "profit is invalid: expected finite numbers, row 1"),
        ({"cost": [1.0, -2.0]}, "cost is invalid: expected 0 or more, row 1 has -2"),
        ({"cost": [[1.0, 2.0]]}, "cost is invalid: expected one dimension"),
        ({"customer": [0, 2]}, "customer is invalid: expected codes from 0 to 1, row 1 has 2"),
        ({"customer": [-1, 1]}, "customer is invalid: expected codes from 0 to 1, row 0 has -1"),
        ({"customer": [0.0, 1.0]}, "customer is invalid: expected integer codes"),
        ({"customer": [[0], [1]]}, "customer is invalid: expected one dimension"),
        ({"customer": [0, 2**40]}, "customer is invalid: expected codes up to"),
        ({"household": [0, 1]}, "household is invalid: expected codes from -1 to 0"),
        ({"manager": [-2, 0]}, "manager is invalid: expected codes from -1 to 0"),
        ({"channel": [0, -1]}, "channel is invalid: expected codes from 0"),
        ({"offer": [0, -1]}, "offer is invalid: expected codes from 0"),
        (
            {"customer": [0, 0], "household": [0, -1]},
            "customer 0 is invalid: expected options of one",
        ),
        ({"customer_room": [1, -1]}, "customer_room is invalid: expected 0 or more, code 1"),
        ({"channel_capacity": [2.5]}, "channel_capacity is invalid: expected whole numbers"),
        ({"manager_capacity": [-1]}, "manager_capacity is invalid: expected whole numbers"),
        ({"manager_capacity": [np.nan]}, "manager_capacity is invalid: expected whole numbers"),
        ({"budget": -1.0}, "budget is invalid: expected 0 or more"),
        ({"budget": np.nan}, "budget is invalid: expected 0 or more"),
    ],
)
def test_an_inconsistent_problem_is_refused(change, words):
    sound = {
        "customer": [0, 1], "household": [-1, 0], "offer": [0, 0], "channel": [0, 0],
        "manager": [-1, 0], "profit": [1.0, 2.0], "cost": [0.0, 1.0], "customer_room": [1, 1],
        "household_room": [1], "channel_capacity": [None], "manager_capacity": [1], "budget": 5.0,
    }  # fmt: skip
    assert solve(Problem(**sound)).profit == 3
    with pytest.raises(ValueError, match=words):
        Problem(**{**sound, **change})


def test_a_problem_cannot_be_changed_afterwards():
    figures = np.array([1.0, 2.0])
    problem = Problem(
        [0, 1], [-1, -1], [0, 0], [0, 0], [-1, -1], figures, [0, 0], [1, 1], [], [1], []
    )
    figures[0] = 9
    assert problem.profit[0] == 1
    with pytest.raises(ValueError):
        problem.profit[0] = 9
