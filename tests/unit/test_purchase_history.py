"""Purchase histories from a log: worked by hand, and the published sample."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb
import numpy as np
import pytest

from orchestration.models.purchase_history import purchase_history
from tests import cdnow

UNTIL = date(2025, 1, 31)
LOG = [
    # Twice on the first day, which is no repeat; then 20, and 10 + 30 on one day; then too late.
    ("ann", "2025-01-01", 5),
    ("ann", "2025-01-01", 7),
    ("ann", "2025-01-15", 20),
    ("ann", "2025-01-29", 10),
    ("ann", "2025-01-29", 30),
    ("ann", "2025-02-01", 1000),
    # Once, on the last day observed.
    ("bob", "2025-01-31", 9),
    # After it only: not a customer yet.
    ("eve", "2025-02-01", 8),
    # A free purchase is one.
    ("dan", "2025-01-10", 50),
    ("dan", "2025-01-17", 0),
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "create table purchase (customer_id varchar, day date, amount decimal(18, 2))"
        )
        connection.executemany("insert into purchase values (?, ?, ?)", LOG)
        yield connection


def test_days_are_counted_timed_and_averaged_by_hand(connection):
    frame = purchase_history(connection, "purchase", UNTIL)
    assert list(frame) == ["customer_id", "frequency", "recency", "T", "monetary_value"]
    assert frame.to_numpy().tolist() == [
        ["ann", 2, 4.0, pytest.approx(30 / 7), 30.0],
        ["bob", 0, 0.0, 0.0, 0.0],
        ["dan", 1, 1.0, 3.0, 0.0],
    ]
    assert frame["frequency"].dtype.kind == "i"
    assert all(frame[name].dtype == float for name in ("recency", "T", "monetary_value"))


def test_the_unit_of_time_is_as_many_days_as_asked(connection):
    days = purchase_history(connection, "purchase", UNTIL, unit_days=1)
    assert days[["recency", "T"]].to_numpy().tolist() == [[28, 30], [0, 0], [7, 21]]
    with pytest.raises(ValueError, match="unit_days is invalid: expected a number above 0, got 0"):
        purchase_history(connection, "purchase", UNTIL, unit_days=0)


def test_an_earlier_end_ignores_later_purchases(connection):
    frame = purchase_history(connection, "purchase", date(2025, 1, 15), unit_days=1)
    assert frame.to_numpy().tolist() == [["ann", 1, 14, 14, 20], ["dan", 0, 0, 5, 0]]
    assert purchase_history(connection, "purchase", date(2024, 12, 31)).empty


def test_purchases_at_hours_of_the_day_are_those_of_the_day(connection):
    connection.execute(
        "create view by_hour as select customer_id, amount, "
        "day::timestamp + to_hours(row_number() over () % 24) as day from purchase"
    )
    connection.execute(
        "insert into purchase values ('zoe', '2025-01-02', 1), ('zoe', '2025-01-31', 2)"
    )
    whole = purchase_history(connection, "purchase", UNTIL)
    assert whole.equals(purchase_history(connection, "by_hour", UNTIL))


def test_a_query_in_brackets_is_a_relation_too(connection):
    frame = purchase_history(connection, "(from purchase where amount > 0) as paid", UNTIL)
    assert frame["frequency"].tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("(null, '2025-01-02', 1)", r"no customer_id in 1 row\(s\)"),
        ("('fay', null, 1)", r"no day in 1 row\(s\)"),
        ("('fay', '2025-01-02', null)", r"no amount in 1 row\(s\)"),
    ],
)
def test_rows_that_cannot_be_placed_are_refused(connection, row, words):
    connection.execute(f"insert into purchase values {row}")
    with pytest.raises(ValueError, match=words):
        purchase_history(connection, "purchase", UNTIL)


def test_the_published_sample_as_summed_up_without_the_engine(connection):
    connection.register("log", cdnow.purchase_log())
    frame = purchase_history(connection, "log", cdnow.CALIBRATED_UNTIL)
    expected = cdnow.customers()
    assert len(frame) == 2357
    assert (frame["frequency"] > 0).sum() == 946
    np.testing.assert_array_equal(frame["customer_id"], expected.index)
    for name in ("frequency", "recency", "T", "monetary_value"):
        np.testing.assert_allclose(frame[name], expected[name], rtol=1e-12)
