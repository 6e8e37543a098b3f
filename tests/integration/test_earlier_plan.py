"""Plans of earlier releases: which of them a refresh keeps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from orchestration.campaigns.earlier_plan import TABLE, write_earlier_plan
from orchestration.platform.releases import point_at
from orchestration.platform.settings import Settings
from orchestration.platform.tables import declared, write_table

SERVED = "release.duckdb"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """As of 30 June 2025; B has left the bank."""
    with duckdb.connect() as connection:
        connection.execute(
            "create schema meta; create schema base; create schema landing;"
            "create table meta.bank as select 'own' as identity;"
            "create table base.customer as select 'A' as customer_id union all select 'C';"
            "create table landing.refresh_window as select date '2025-06-30' as as_of"
        )
        yield connection


def planned(month: date, customer: str, kind: str | None = None, unit: str = "E1") -> dict:
    return {
        **{column.name: None for column in declared(TABLE).columns},
        "plan_month": month,
        "campaign_id": f"P{month:%Y%m}",
        "customer_id": customer,
        "product_id": "FUND",
        "unit": unit,
        "arm": "control" if kind else "treatment",
        "control_kind": kind,
    }


def serve(settings: Settings, bank: str, own: list[dict], earlier: list[dict]) -> None:
    releases = settings.published / "releases"
    releases.mkdir(parents=True)
    with duckdb.connect(str(releases / SERVED)) as release:
        release.execute(
            "create schema meta; create table meta.release as select 'r1' as release_id;"
            f"create table meta.bank as select '{bank}' as identity"
        )
        write_table(release, TABLE, pd.DataFrame(own))
        release.execute("create table decisions.contact_plan as from decisions.earlier_plan")
        write_table(release, TABLE, pd.DataFrame(earlier) if earlier else None)
    point_at(settings, releases / SERVED)


def kept(warehouse: duckdb.DuckDBPyConnection) -> list[tuple]:
    return warehouse.execute(
        f"select plan_month, customer_id, unit from {TABLE} order by all"
    ).fetchall()


def test_plans_of_the_twelve_months_are_kept_and_a_month_comes_from_the_newer_plan(
    warehouse, settings
):
    may, june, year_ago = date(2025, 5, 1), date(2025, 6, 1), date(2024, 7, 1)
    serve(
        settings,
        "own",
        [
            planned(june, "A", unit="new"),
            planned(june, "B"),
            planned(june, "C", "universal"),
        ],
        [
            planned(june, "C", unit="old"),
            planned(may, "A", "campaign"),
            planned(year_ago, "A"),
            planned(date(2024, 6, 1), "A"),
            planned(date(2025, 7, 1), "A"),
        ],
    )
    assert write_earlier_plan(warehouse, settings) == 3
    assert kept(warehouse) == [(year_ago, "A", "E1"), (may, "A", "E1"), (june, "A", "new")]


def test_neither_a_missing_nor_another_banks_release_gives_earlier_plans(warehouse, settings):
    assert write_earlier_plan(warehouse, settings) == 0
    serve(settings, "another", [planned(date(2025, 6, 1), "A")], [])
    assert write_earlier_plan(warehouse, settings) == 0
    assert kept(warehouse) == []
