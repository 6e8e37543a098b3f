"""Cut-offs of every length of history: nothing learned from reaches into what is judged."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from orchestration.models.cutoffs import (
    CutoffPlan,
    Origin,
    months_between,
    plan_cutoffs,
    plus_months,
)

FIRST_MONTHS = (date(2019, 1, 1), date(2020, 11, 1))
LENGTHS = range(1, 90)


def plan_of(months: int, first: date = FIRST_MONTHS[0]) -> CutoffPlan | None:
    return plan_cutoffs(first, plus_months(first, months - 1))


def planned(months: int, first: date = FIRST_MONTHS[0]) -> CutoffPlan:
    plan = plan_of(months, first)
    assert plan is not None
    return plan


def test_months_are_counted_over_the_turn_of_a_year():
    assert plus_months(date(2024, 11, 1), 3) == date(2025, 2, 1)
    assert plus_months(date(2024, 2, 1), -14) == date(2022, 12, 1)
    assert plus_months(date(2024, 12, 1), 0) == date(2024, 12, 1)
    assert months_between(date(2024, 11, 1), date(2025, 2, 1)) == 3
    assert months_between(date(2025, 2, 1), date(2024, 11, 1)) == -3


@pytest.mark.parametrize(
    ("months", "horizon"), [(14, None), (15, 6), (26, 6), (27, 12), (36, 12), (120, 12)]
)
def test_the_horizon_is_the_longest_that_the_history_allows(months, horizon):
    plan = plan_of(months)
    assert (plan.horizon if plan else None) == horizon


def test_three_years_are_planned_as_by_hand():
    # January 2023 to December 2025. March 2023 is the first month with three months of history.
    def month(text: str) -> date:
        return date.fromisoformat(f"{text}-01")

    assert plan_cutoffs(month("2023-01"), month("2025-12")) == CutoffPlan(
        horizon=12,
        origins=(
            Origin(
                (month("2023-03"), month("2023-06"), month("2023-09")),
                month("2024-09"),
            ),
            Origin(
                (month("2023-03"), month("2023-06"), month("2023-09"), month("2023-12")),
                month("2024-12"),
            ),
        ),
        refit=(month("2024-03"), month("2024-06"), month("2024-09"), month("2024-12")),
    )


@pytest.mark.parametrize("months", [15, 27])
def test_the_shortest_history_has_one_cut_off_to_learn_from_and_one_origin(months):
    plan = planned(months)
    (origin,) = plan.origins
    assert origin.training == (plus_months(FIRST_MONTHS[0], 2),)
    assert origin.evaluation == plus_months(origin.training[0], plan.horizon)
    assert plan.refit[-1] == plan.evaluation


@pytest.mark.parametrize("first", FIRST_MONTHS)
def test_no_outcome_learned_from_reaches_beyond_the_evaluation_cut_off_of_its_origin(first):
    seen = 0
    for months in LENGTHS:
        plan = plan_of(months, first)
        for origin in plan.origins if plan else ():
            for cutoff in origin.training:
                assert months_between(cutoff, origin.evaluation) >= plan.horizon, months
                seen += 1
    assert seen > 100


@pytest.mark.parametrize("first", FIRST_MONTHS)
def test_every_outcome_is_complete_and_every_cut_off_follows_three_months(first):
    for months in LENGTHS:
        plan = plan_of(months, first)
        if plan is None:
            assert months < 15
            continue
        as_of = plus_months(first, months - 1)
        evaluations = [origin.evaluation for origin in plan.origins]
        used = {cutoff for origin in plan.origins for cutoff in origin.training}
        for cutoff in {*used, *evaluations, *plan.refit}:
            assert months_between(cutoff, as_of) >= plan.horizon, months
            assert months_between(first, cutoff) >= 2, months
        # The newest whose outcomes are complete decides, and is learned from last.
        assert months_between(plan.evaluation, as_of) == plan.horizon
        assert plan.refit[-1] == plan.evaluation == evaluations[-1]


def test_cut_offs_are_a_quarter_apart_oldest_first_and_at_most_four():
    for months in LENGTHS:
        plan = plan_of(months)
        for cutoffs in (plan.refit, *(one.training for one in plan.origins)) if plan else ():
            assert 1 <= len(cutoffs) <= 4
            steps = {months_between(*pair) for pair in zip(cutoffs, cutoffs[1:], strict=False)}
            assert steps <= {3}, months


def test_an_earlier_origin_is_judged_where_two_cut_offs_are_left_to_learn_from():
    for months in LENGTHS:
        plan = plan_of(months)
        if plan is None:
            continue
        # Two horizons, the quarter back, the quarter between two cut-offs, three of history.
        assert len(plan.origins) == (2 if months >= 2 * plan.horizon + 9 else 1), months
        for origin in plan.origins[:-1]:
            assert len(origin.training) >= 2
            assert months_between(origin.evaluation, plan.evaluation) == 3


def test_all_available_cut_offs_are_learned_from_up_to_four():
    # 27 months leave one, three more months one more, until there are four.
    lengths = [len(planned(months).origins[-1].training) for months in (27, 29, 30, 33, 36, 60)]
    assert lengths == [1, 1, 2, 3, 4, 4]


@pytest.mark.parametrize("months", [14, 15, 18, 21, 26, 27, 30, 36, 48, 61])
def test_outcomes_are_built_for_every_cut_off_that_is_planned(outcome_queries, months):
    """dbt builds them by a rule of its own: of the planned horizon, and none beyond the last."""
    first, plan = date(2023, 3, 1), plan_of(months, date(2023, 3, 1))
    as_of = plus_months(first, months - 1)
    with duckdb.connect() as connection:
        connection.execute(
            "create schema base; create schema value;"
            f"create view base.refresh_window as select date '{first}' as first_month, "
            f"date '{as_of}' as as_of_month;"
            "create table value.product_parameter as "
            f"select date '{as_of}' as month, 0.1 as hurdle_rate"
        )
        built = connection.execute(
            f"select distinct cutoff, horizon from ({outcome_queries['outcomes.cutoff_month']})"
        ).fetchall()
    if plan is None:
        assert built == []
        return
    used = {*plan.refit}
    for origin in plan.origins:
        used |= {*origin.training, origin.evaluation}
    assert used <= {cutoff for cutoff, _ in built}
    assert {horizon for _, horizon in built} == {plan.horizon}
    assert max(cutoff for cutoff, _ in built) == plus_months(as_of, -plan.horizon)
