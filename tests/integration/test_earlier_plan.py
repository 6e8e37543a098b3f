"""Plans of earlier releases come along for twelve months, each month's from the newest release."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from orchestration.campaigns.earlier_plan import write_earlier_plan
from orchestration.platform.releases import point_at
from orchestration.platform.settings import Settings
from orchestration.platform.tables import declared, write_table

BANK = """
create schema meta;
create table meta.bank as select '{}' as identity
"""
WAREHOUSE = """
create schema landing;
create table landing.refresh_window as select date '2025-12-31' as as_of;
create schema base;
create table base.customer as select 'C' || n as customer_id from range(1, 6) as t(n)
"""


def plan(table: str, *rows: tuple[str, date, str, str | None]) -> pd.DataFrame:
    """Rows of customer, month, channel and control group."""
    names = [column.name for column in declared(table).columns]
    known = [
        {
            **{"customer_id": customer, "plan_month": pd.Timestamp(month), "channel": channel},
            **{"product_id": "CARD", "control_kind": kind, "contact_cost": 0.15},
        }
        for customer, month, channel, kind in rows
    ]
    return pd.DataFrame(known).reindex(columns=names)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(BANK.format("bank"))
        connection.execute(WAREHOUSE)
        yield connection


def release(settings: Settings, identity: str, **plans: pd.DataFrame) -> None:
    path = settings.published / "releases" / "r1.duckdb"
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(BANK.format(identity))
        connection.execute("create table meta.release as select 'r1' as release_id")
        for table, rows in plans.items():
            write_table(connection, f"decisions.{table}", rows)
    point_at(settings, path)


def brought(connection: duckdb.DuckDBPyConnection) -> list[tuple]:
    return connection.execute(
        "select customer_id, plan_month, channel from decisions.earlier_plan order by all"
    ).fetchall()


def test_plans_of_twelve_months_of_customers_who_are_still_here(warehouse, settings):
    november, december = date(2025, 11, 1), date(2025, 12, 1)
    release(
        settings,
        "bank",
        contact_plan=plan(
            "decisions.contact_plan",
            ("C1", december, "mobile", None),
            ("C2", december, "mobile", "campaign"),
            ("C3", december, "mobile", "universal"),
            ("gone", december, "mobile", None),
        ),
        earlier_plan=plan(
            "decisions.earlier_plan",
            # The month has a newer plan.
            ("C4", december, "branch", None),
            ("C1", november, "branch", None),
            ("C1", date(2025, 1, 1), "branch", None),
            # Twelve months before the as-of date.
            ("C5", date(2024, 12, 1), "branch", None),
        ),
    )
    assert write_earlier_plan(warehouse, settings) == 4
    assert brought(warehouse) == [
        ("C1", date(2025, 1, 1), "branch"),
        ("C1", november, "branch"),
        ("C1", december, "mobile"),
        ("C2", december, "mobile"),
    ]
    names = [column.name for column in declared("decisions.earlier_plan").columns]
    assert warehouse.table("decisions.earlier_plan").columns == names


def test_a_plan_of_the_next_month_is_not_an_earlier_one(warehouse, settings):
    rows = plan("decisions.contact_plan", ("C1", date(2026, 1, 1), "mobile", None))
    release(settings, "bank", contact_plan=rows)
    assert write_earlier_plan(warehouse, settings) == 0


def test_without_a_release_of_this_bank_there_are_none(warehouse, settings):
    assert write_earlier_plan(warehouse, settings) == 0
    rows = plan("decisions.contact_plan", ("C1", date(2025, 12, 1), "mobile", None))
    release(settings, "another bank", contact_plan=rows)
    assert write_earlier_plan(warehouse, settings) == 0
    assert brought(warehouse) == []
