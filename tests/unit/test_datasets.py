"""Cohorts from a warehouse small enough to work every figure by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pytest

from ml.measures import LAST_PERIOD, PACE
from orchestration.alerts import default_course
from orchestration.models import contact_frames, datasets
from orchestration.models.cutoffs import plus_months
from orchestration.models.datasets import (
    BELOW_TOP,
    BORROWERS,
    EVERYBODY,
    HOLDERS,
    POPULATIONS,
    TIER,
    CohortReader,
    customers_to_score,
    digest,
    discount_rate,
    feature_columns,
    features_of,
)
from orchestration.models.studies import OF_CUSTOMERS
from orchestration.platform.environment import DBT_PROJECT

CUTOFF = date(2024, 6, 1)
HORIZON = 3
# Long before all windows.
FIRST_MONTH = date(2000, 1, 1)

TABLES = """
create schema features; create schema value; create schema outcomes;
create table features.customer_month (
    customer_id varchar, month date, age integer, accounts integer, loans integer,
    is_defaulted integer, occupation varchar
);
create table value.profit_by_customer (
    customer_id varchar, month date, contribution_margin decimal(18, 2)
);
create table value.customer_tier (customer_id varchar, month date, tier_number integer);
create table value.product_parameter (
    product_id varchar, month date, hurdle_rate decimal(9, 6)
);
create table outcomes.customer_month (
    customer_id varchar, cutoff date, contribution double, months_to_exit integer,
    months_to_default integer, best_tier_number integer, bookings double, inflow double,
    balance double, accounts double
);
create view outcomes.customer_sample as select distinct customer_id from outcomes.customer_month;
"""


def after(months: int) -> date:
    return plus_months(CUTOFF, months)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(TABLES)
        yield opened


def known(connection: duckdb.DuckDBPyConnection, *rows: tuple, month: date = CUTOFF) -> None:
    """Customers as known at a month's end: id, accounts, loans, whether in default, tier."""
    for customer, accounts, loans, is_defaulted, tier in rows:
        connection.execute(
            "insert into features.customer_month values (?, ?, 40, ?, ?, ?, 'clerk')",
            [customer, month, accounts, loans, is_defaulted],
        )
        came(connection, customer, 0, month)
        if tier is not None:
            connection.execute(
                "insert into value.customer_tier values (?, ?, ?)", [customer, month, tier]
            )


def earned(connection: duckdb.DuckDBPyConnection, customer: str, by_month: dict) -> None:
    """Contribution margin by months after the cut-off."""
    for number, amount in by_month.items():
        connection.execute(
            "insert into value.profit_by_customer values (?, ?, ?)",
            [customer, after(number), amount],
        )


def came(
    connection: duckdb.DuckDBPyConnection, customer: str, amount: float, month: date = CUTOFF
) -> None:
    """Contribution after a cut-off."""
    connection.execute(
        "delete from outcomes.customer_month where customer_id = ? and cutoff = ?",
        [customer, month],
    )
    connection.execute(
        "insert into outcomes.customer_month (customer_id, cutoff, contribution) values (?, ?, ?)",
        [customer, month, amount],
    )


# What was known.


def test_the_anchors_are_the_last_horizon_and_its_pace(connection):
    known(connection, *[(name, 1, 0, 0, None) for name in ("full", "new", "none")])
    # Four months back is a horizon of three too many; after the cut-off nothing is known.
    earned(connection, "full", {-3: 999, -2: 10, -1: 20, 0: 30, 1: 999})
    earned(connection, "new", {0: 8})
    frame = CohortReader(connection, HORIZON, FIRST_MONTH).cohorts((CUTOFF,)).frame
    anchors = frame.set_index("customer_id")[[LAST_PERIOD, PACE]]
    assert anchors.loc["full"].tolist() == [60, 60]
    # One month of history, at the pace of three.
    assert anchors.loc["new"].tolist() == [8, 24]
    assert anchors.loc["none"].tolist() == [0, 0]


def test_a_frame_holds_keys_features_and_anchors_and_a_model_is_given_the_features(connection):
    known(connection, ("ann", 1, 0, 0, 2))
    assert feature_columns(connection) == [
        *("age", "accounts", "loans", "is_defaulted", "occupation"),
    ]
    cohorts = CohortReader(connection, HORIZON, FIRST_MONTH).cohorts((CUTOFF,))
    given = [*feature_columns(connection), LAST_PERIOD, PACE]
    assert list(cohorts.frame) == ["customer_id", "cutoff", *given, TIER]
    assert list(features_of(cohorts.frame)) == given


def test_later_records_change_no_feature_at_a_cut_off(connection):
    known(connection, ("ann", 1, 1, 0, 2), ("bob", 2, 0, 0, 3))
    earned(connection, "ann", {-1: 5, 0: 6})
    reader = CohortReader(connection, HORIZON, FIRST_MONTH).cohorts((CUTOFF,))
    earned(connection, "ann", {1: 700, 2: 800})
    came(connection, "bob", 3)
    known(connection, ("ann", 9, 9, 1, 1), ("bob", 9, 9, 1, 1), month=after(1))
    later = CohortReader(connection, HORIZON, FIRST_MONTH).cohorts((CUTOFF,))
    pd.testing.assert_frame_equal(reader.frame, later.frame)
    assert not reader.outcome.equals(later.outcome)


def test_cohorts_are_ordered_by_cut_off_and_customer_and_their_outcomes_lie_beside_them(connection):
    for month in (CUTOFF, after(1)):
        known(connection, ("bob", 1, 0, 0, 2), ("ann", 1, 0, 0, 2), month=month)
    came(connection, "ann", 2)
    came(connection, "ann", 4, after(1))
    cohorts = CohortReader(connection, HORIZON, FIRST_MONTH).cohorts((CUTOFF, after(1)))
    assert cohorts.frame["customer_id"].tolist() == ["ann", "bob"] * 2
    assert cohorts.frame["cutoff"].tolist() == [CUTOFF, CUTOFF, after(1), after(1)]
    assert cohorts.outcome["contribution"].tolist() == [2, 0, 4, 0]


# Populations.

PEOPLE = (
    # Customer, accounts, loans, in default, tier.
    ("borrower", 2, 1, 0, 2),
    ("borrower without a word of default", 2, 1, None, None),
    ("defaulted", 1, 2, 1, 3),
    ("former", 0, 0, 0, 4),
    ("saver", 1, 0, None, 4),
    ("top", 5, 1, 0, 1),
    ("unknown", None, None, None, None),
)
MEMBERS = {
    "everybody": {name for name, *_ in PEOPLE},
    "holders": {name for name, *_ in PEOPLE} - {"former", "unknown"},
    "borrowers": {"borrower", "borrower without a word of default", "top"},
    "below the top": {"borrower", "defaulted", "saver"},
}
BY_NAME = {
    "everybody": EVERYBODY,
    "holders": HOLDERS,
    "borrowers": BORROWERS,
    "below the top": BELOW_TOP,
}


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("most", [len(PEOPLE), 40_000])
def test_a_population_is_the_same_by_the_engine_and_of_a_frame(connection, monkeypatch, name, most):
    """With as many customers as a cut-off may have the engine is asked, else the frame."""
    monkeypatch.setattr(datasets, "MOST_CUSTOMERS", most)
    known(connection, *PEOPLE)
    cohorts = CohortReader(connection, HORIZON, FIRST_MONTH).cohorts((CUTOFF,), BY_NAME[name])
    assert set(cohorts.frame["customer_id"]) == MEMBERS[name]
    assert len(cohorts.outcome) == len(cohorts.frame)


def test_each_model_has_its_population():
    assert {one.name: POPULATIONS[one.population] for one in OF_CUSTOMERS} == {
        "clv": EVERYBODY,
        "attrition": HOLDERS,
        "default": BORROWERS,
        "high_value": BELOW_TOP,
        "segment": HOLDERS,
    }


# Samples of large banks.


def crowd(connection: duckdb.DuckDBPyConnection, customers: list[str]) -> None:
    rows = pd.DataFrame({"customer_id": customers})
    rows["loans"] = rows["customer_id"].str[-1].isin(list("02468")).astype(int)
    for month in (CUTOFF, after(1)):
        connection.execute(
            "insert into features.customer_month "
            "select customer_id, $month, 40, 1, loans, 0, 'clerk' from rows",
            {"month": month},
        )
        connection.execute(
            "insert into outcomes.customer_month (customer_id, cutoff) "
            "select customer_id, $month from rows",
            {"month": month},
        )


def sampled(connection: duckdb.DuckDBPyConnection, population=EVERYBODY, month=CUTOFF) -> list[str]:
    reader = CohortReader(connection, HORIZON, FIRST_MONTH)
    return reader.cohorts((month,), population).frame["customer_id"].tolist()


def test_a_sample_of_a_large_bank_is_the_same_in_any_order_of_the_rows(monkeypatch):
    monkeypatch.setattr(datasets, "MOST_CUSTOMERS", 30)
    names = [f"customer {number:03d}" for number in range(200)]
    found = []
    for order in (names, names[::-1], list(np.random.default_rng(1).permutation(names))):
        with duckdb.connect() as connection:
            connection.execute(TABLES)
            crowd(connection, order)
            found.append(sampled(connection))
            # The same customers at each cut-off: their histories can be followed.
            assert sampled(connection, month=after(1)) == found[-1]
    assert len(found[0]) == 30
    assert found[0] == sorted(found[0])
    assert found[0] == found[1] == found[2]
    # By chance of their names, not the first ones.
    assert found[0] != names[:30]


def test_a_small_population_of_a_large_bank_is_whole(connection, monkeypatch):
    monkeypatch.setattr(datasets, "MOST_CUSTOMERS", 60)
    names = [f"customer {number:03d}" for number in range(100)]
    crowd(connection, names)
    borrowers = sampled(connection, BORROWERS)
    assert borrowers == [name for name in names if int(name[-1]) % 2 == 0]
    assert len(sampled(connection)) == 60


# To be scored.


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_customers_are_scored_once_each_in_batches_of_any_size(connection, batch):
    known(connection, *PEOPLE)
    known(connection, ("of another month", 1, 1, 0, 2), month=after(1))
    frames = list(customers_to_score(connection, CUTOFF, HORIZON, batch))
    assert all(len(frame) <= batch for frame in frames)
    together = pd.concat(frames)
    assert together["customer_id"].tolist() == sorted(name for name, *_ in PEOPLE)


def test_scored_rows_have_the_columns_and_figures_of_the_training_rows(connection):
    known(connection, *PEOPLE)
    earned(connection, "saver", {-1: 5, 0: 6})
    learned = CohortReader(connection, HORIZON, FIRST_MONTH).cohorts((CUTOFF,), HOLDERS).frame
    (scored,) = customers_to_score(connection, CUTOFF, HORIZON, 100, HOLDERS)
    pd.testing.assert_frame_equal(
        features_of(learned).reset_index(drop=True), features_of(scored), check_dtype=False
    )


def test_no_customers_to_score_give_no_batch(connection):
    assert list(customers_to_score(connection, CUTOFF, HORIZON, 10)) == []


# The rate, and where a model came from.


def test_the_discount_rate_is_the_hurdle_rate_of_the_month(connection):
    rates = [("loan", CUTOFF, 0.08), ("card", CUTOFF, 0.10), ("card", after(1), 0.25)]
    connection.executemany("insert into value.product_parameter values (?, ?, ?)", rates)
    assert discount_rate(connection, CUTOFF) == pytest.approx(0.10)
    assert discount_rate(connection, after(5)) == 0.0


def test_the_digest_detects_every_change_of_a_training_set():
    frame = pd.DataFrame({"customer_id": ["ann", "bob"], "age": [40.0, np.nan], "job": ["a", None]})
    y = np.array([0.0, 1.0])
    digests = {
        digest(frame, y),
        digest(frame.assign(age=[40.0, 41.0]), y),
        digest(frame.assign(job=["a", "b"]), y),
        digest(frame[::-1], y),
        digest(frame, y[::-1]),
    }
    assert len(digests) == 5
    assert digest(frame.copy(), y.copy()) == digest(frame, y)


def test_the_samples_of_the_engine_hold_what_models_read():
    text = (DBT_PROJECT / "macros" / "outcomes.sql").read_text()
    found = {
        name: int(number)
        for name, number in re.findall(r"macro (\w+)\(\) %}{{ return\((\d+)\) }}", text)
    }
    assert found["sampled_customers"] >= datasets.MOST_CUSTOMERS
    assert found["sampled_contacts"] >= contact_frames.MOST_CONTACTS
    assert found["course_months"] == default_course.MONTHS_BEFORE
