"""Sums over windows that begin before the history, brought to the whole window."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from orchestration.models.cutoffs import plus_months
from orchestration.models.windows import complete_windows, sums_of_windows
from orchestration.platform.environment import DBT_PROJECT

FIRST_MONTH = date(2023, 1, 1)


def customer(observed: int, tenure: float | None, **sums: float) -> dict[str, object]:
    return {
        "months_observed": observed,
        "tenure_months": tenure,
        "bookings_1m": 10,
        "bookings_3m": 30,
        "bookings_6m": min(observed, 6) * 10,
        "bookings_12m": observed * 10,
        "net_flow_12m": observed * 2.5,
        "average_deposits_12m": 500.0,
        "income_max_12m": 80.0,
        "balance": 100.0,
    } | sums


def completed(months: int, *customers: dict[str, object]) -> list[dict[str, object]]:
    """As of so many months of history."""
    month = plus_months(FIRST_MONTH, months - 1)
    return complete_windows(pd.DataFrame(customers), month, FIRST_MONTH).to_dict("records")


def test_a_sum_over_three_months_of_twelve_stands_for_twelve():
    (found,) = completed(3, customer(3, 100))
    assert found == customer(12, 100, bookings_6m=60, bookings_12m=120, net_flow_12m=30.0)


def test_a_customer_of_five_months_has_no_more_than_five():
    """Three of them are in the history."""
    (found,) = completed(3, customer(3, 4))
    assert (found["bookings_3m"], found["bookings_6m"], found["bookings_12m"]) == (30, 50, 50)
    assert found["months_observed"] == 5


def test_a_customer_since_the_first_month_or_later_keeps_the_sums():
    since_first, later = customer(3, 2), customer(2, 1)
    assert completed(3, since_first, later) == [since_first, later]
    # Months before the relationship are not missing: the window begins with it.
    assert completed(3, customer(2, 100)) == [customer(2, 100)]


def test_a_customer_of_unknown_tenure_counts_as_a_customer_from_before():
    (found,) = completed(9, customer(9, None))
    assert found["bookings_12m"] == 120


def test_windows_within_the_history_are_unchanged():
    whole = customer(12, 100)
    assert completed(12, whole) == [whole]
    assert completed(30, customer(12, 100)) == [whole]


def test_each_row_has_the_history_of_its_own_month():
    frame = pd.DataFrame([customer(3, 100), customer(6, 100), customer(12, 100)])
    months = pd.Series([date(2023, 3, 1), date(2023, 6, 1), date(2024, 6, 1)])
    found = complete_windows(frame, months, FIRST_MONTH)
    assert found["bookings_12m"].tolist() == [120, 120, 120]
    assert found.dtypes.equals(frame.dtypes)


@pytest.mark.parametrize("is_empty", [True, False])
def test_the_frame_given_is_not_changed(is_empty):
    frame = pd.DataFrame([customer(3, 100)]).head(0 if is_empty else 1)
    before = frame.copy()
    complete_windows(frame, FIRST_MONTH, FIRST_MONTH)
    pd.testing.assert_frame_equal(frame, before)


def test_the_sums_are_those_that_dbt_sums():
    """Of the features' columns of windows, all but averages and extremes."""
    lines = (DBT_PROJECT / "models" / "features" / "features_customer_month.yml").read_text()
    columns = [line.split("name: ")[1].strip() for line in lines.splitlines() if "- name: " in line]
    found = sums_of_windows(columns)
    assert {"bookings_3m": 3, "income_12m": 12, "net_flow_3m": 3}.items() <= found.items()
    left_out = {
        name for name in columns if name.endswith("m") and name[-2].isdigit() and name not in found
    }
    assert {name for name in left_out if not name.endswith("_1m")} == {
        *(name for name in columns if name.startswith("average_")),
        *("overdraft_deepest_12m", "days_past_due_max_6m", "days_past_due_max_12m"),
        *("income_max_12m", "sentiment_12m"),
    }
