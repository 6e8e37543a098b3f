"""`meta.restatement`: what a build changes in months that the served release holds."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.platform.releases import point_at
from orchestration.platform.settings import Settings
from orchestration.release.approval import waits_for_approval
from orchestration.release.restatement import COMPARED, changed_shares, record_restatement, restated

JANUARY, FEBRUARY, MARCH = (date(2024, month, 1) for month in (1, 2, 3))
TABLE = "value.account_month"
ROWS = [
    ("A1", JANUARY, "10.00", "7.00", "100.00", "v1"),
    ("A2", JANUARY, "5.00", "4.00", "50.00", "v1"),
    ("A1", FEBRUARY, "11.00", "8.00", "110.00", "v1"),
    ("A2", FEBRUARY, "6.00", "5.00", "60.00", "v1"),
]


def lay(connection: duckdb.DuckDBPyConnection, rows: list[tuple], bank: str = "mine") -> None:
    for schema in ("meta", "value", "landing"):
        connection.execute(f"create schema if not exists {schema}")
    connection.execute(f"create or replace table meta.bank as select '{bank}' as identity")
    connection.execute(
        f"create or replace table {TABLE} (account_id varchar, month date, "
        "contribution_margin decimal(18, 2), economic_profit decimal(18, 2), "
        "closing_balance decimal(18, 2), product_line varchar)"
    )
    connection.executemany(f"insert into {TABLE} values (?, ?, ?, ?, ?, ?)", rows)
    connection.execute(
        "create or replace table landing.refresh_window as select date '2024-03-31' as as_of"
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home that serves a release of January and February."""
    settings = Settings(home=tmp_path)
    release = settings.published / "releases" / "2024-02-first.duckdb"
    release.parent.mkdir(parents=True)
    with duckdb.connect(str(release)) as connection:
        lay(connection, ROWS)
        connection.execute("create table meta.release as select '2024-02-first' as release_id")
    point_at(settings, release)
    return settings


def test_added_gone_and_changed_rows_of_closed_months_are_reported_with_their_amounts(settings):
    february = [
        ("A1", FEBRUARY, "11.00", "8.00", "112.50", "v1"),
        ("A3", FEBRUARY, "1.25", "1.00", "0.00", "v1"),
    ]
    with duckdb.connect() as connection:
        lay(connection, [*ROWS[:2], *february, ("A1", MARCH, "12.00", "9.00", "120.00", "v1")])
        assert record_restatement(connection, settings) == 3
        rows = connection.execute("from meta.restatement order by measure").fetchall()
        of_all = restated(connection)
    money = {
        "closing_balance": ("170.00", "112.50"),
        "contribution_margin": ("17.00", "12.25"),
        "economic_profit": ("13.00", "9.00"),
    }
    # A1 has another balance, A2 is gone, A3 is new.
    assert rows == [
        (FEBRUARY, TABLE, measure, 2, 2, 3, Decimal(before), Decimal(after))
        for measure, (before, after) in money.items()
    ]
    assert of_all is not None
    assert (of_all.months, of_all.before, of_all.after) == (
        ("2024-02",),
        Decimal("17.00"),
        Decimal("12.25"),
    )


def test_nothing_is_restated_without_a_change_or_a_release_of_this_bank(settings, tmp_path):
    with duckdb.connect() as connection:
        lay(connection, [*reversed(ROWS), ("A1", MARCH, "12.00", "9.00", "120.00", "v1")])
        assert record_restatement(connection, settings) == 0
        assert restated(connection) is None
        lay(connection, ROWS[:1])
        assert record_restatement(connection, settings) == 6
        lay(connection, ROWS[:1], bank="another")
        assert record_restatement(connection, settings) == 0
        lay(connection, ROWS[:1])
        assert record_restatement(connection, Settings(home=tmp_path / "new")) == 0


def test_months_after_an_earlier_as_of_month_are_not_restated(settings):
    with duckdb.connect() as connection:
        lay(connection, ROWS[:2])
        connection.execute("update landing.refresh_window set as_of = date '2024-01-31'")
        assert record_restatement(connection, settings) == 0


def test_the_keys_and_measures_compared_are_those_of_the_models(parsed_project):
    """Every roll-up of profit is among them."""
    manifest = json.loads((parsed_project / "manifest.json").read_text())
    models = {
        f"{node['schema']}.{node['alias']}": node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    for name, (keys, measures) in COMPARED.items():
        assert {*models[name]["config"]["meta"]["grain"]} == {"month", *keys}, name
        assert {*keys, *measures} <= set(models[name]["columns"]), name
    assert {name for name in models if name.startswith("value.profit_by_")} <= set(COMPARED)


def test_the_shares_that_a_build_changes_are_of_published_months_and_customers(settings):
    """January is 15.00, February 17.00 by hand: A1 loses 3.20 in February, and March is new."""
    with duckdb.connect(str(settings.published / "releases" / "2024-02-first.duckdb")) as released:
        released.execute("create schema base")
        released.execute("create table base.customer as select range as customer_id from range(8)")
    february = [("A1", FEBRUARY, "7.80", "8.00", "110.00", "v1"), ROWS[3]]
    with duckdb.connect() as connection:
        lay(connection, [*ROWS[:2], *february, ("A1", MARCH, "99.00", "9.00", "120.00", "v1")])
        connection.execute("create schema base")
        connection.execute(
            "create table base.customer as select range as customer_id from range(9)"
        )
        record_restatement(connection, settings)
        # 3.20 of 32.00, and one customer more than eight.
        assert changed_shares(connection, settings) == pytest.approx((0.1, 0.125))
        for bound, words in (
            (0.09, "contribution of published months changes by 10.00%"),
            (0.12, "customers changes by 12.50%"),
            (0.13, ""),
        ):
            careful = settings.model_copy(update={"release_bound": bound})
            found = waits_for_approval(connection, careful)
            assert (found or "").find(words) >= 0 and bool(found) == bool(words)
