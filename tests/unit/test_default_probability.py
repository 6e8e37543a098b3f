"""The probabilities of default in force: present before value, in a new warehouse too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.delivery import forget
from orchestration.platform.releases import point_at
from orchestration.platform.settings import Settings
from orchestration.platform.tables import FrameInvalid
from orchestration.value.default_probability import ensure

OURS, THEIRS = "files:/deliveries/ours", "files:/deliveries/theirs"
NOVEMBER = ("A1", date(2025, 11, 1), Decimal("0.012345"), "2")
DECEMBER = ("A1", date(2025, 12, 1), Decimal("0.020000"), "3")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "a bank's home")


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A build warehouse in which the records of our bank have landed, and nothing else."""
    settings.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("create schema meta")
        connection.execute("create table meta.bank (identity varchar)")
        connection.execute("insert into meta.bank values (?)", [OURS])
        yield connection


def release(
    settings: Settings, name: str, bank: str | None, rows: list[tuple[object, ...]] | None
) -> Path:
    """Serve a release of a bank, with the rows scored up to then; its tables have no keys."""
    path = settings.published / "releases" / f"{name}.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema meta")
        connection.execute("create table meta.release as select ? as release_id", [name])
        connection.execute("create schema scores")
        if bank is not None:
            connection.execute("create table meta.bank (identity varchar)")
            connection.execute("insert into meta.bank values (?)", [bank])
        if rows is not None:
            connection.execute(
                "create table scores.account_default (default_model_version varchar, "
                "account_id varchar, scored_month date, p_default decimal(9, 6))"
            )
            for account, month, p_default, version in rows:
                connection.execute(
                    "insert into scores.account_default values (?, ?, ?, ?)",
                    [version, account, month, p_default],
                )
    path.chmod(0o444)
    point_at(settings, path)
    return path


def held(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute("select * from scores.account_default order by all").fetchall()


def test_a_fresh_home_has_the_table_without_rows(warehouse, settings):
    assert ensure(warehouse, settings) == 0
    assert held(warehouse) == []
    assert warehouse.execute(
        "select column_name, data_type from duckdb_columns() "
        "where schema_name = 'scores' order by column_index"
    ).fetchall() == [
        ("account_id", "VARCHAR"),
        ("scored_month", "DATE"),
        ("p_default", "DECIMAL(9,6)"),
        ("default_model_version", "VARCHAR"),
    ]


def test_a_new_warehouse_takes_over_the_probabilities_of_the_served_release_of_its_bank(
    warehouse, settings
):
    release(settings, "later", OURS, [NOVEMBER, DECEMBER])
    released = release(settings, "served", OURS, [NOVEMBER])
    before = released.read_bytes()
    assert ensure(warehouse, settings) == 1
    assert held(warehouse) == [NOVEMBER]
    # The release is let go and untouched.
    assert warehouse.execute(
        "select database_name from duckdb_databases() where not internal"
    ).fetchall() == [("warehouse",)]
    assert released.read_bytes() == before


def test_a_warehouse_emptied_after_a_change_of_code_takes_them_over_again(warehouse, settings):
    release(settings, "served", OURS, [NOVEMBER, DECEMBER])
    ensure(warehouse, settings)
    forget(warehouse)
    assert ensure(warehouse, settings) == 2
    assert held(warehouse) == [NOVEMBER, DECEMBER]


def test_an_existing_table_stays_unchanged(warehouse, settings):
    ensure(warehouse, settings)
    warehouse.execute("insert into scores.account_default values (?, ?, ?, ?)", DECEMBER)
    release(settings, "served", OURS, [NOVEMBER])
    assert ensure(warehouse, settings) == 0
    assert held(warehouse) == [DECEMBER]


@pytest.mark.parametrize(
    ("bank", "rows"),
    [
        pytest.param(THEIRS, [NOVEMBER], id="of another bank"),
        pytest.param(None, [NOVEMBER], id="of nobody knows whom"),
        pytest.param(OURS, None, id="before the model was there"),
        pytest.param(OURS, [], id="in which nobody was scored"),
    ],
)
def test_releases_without_usable_probabilities_are_ignored(bank, rows, warehouse, settings):
    release(settings, "served", bank, rows)
    assert ensure(warehouse, settings) == 0
    assert held(warehouse) == []


def test_an_invalid_release_table_is_not_taken_over_in_part(warehouse, settings):
    """A table with half of them, or empty, would never be noticed."""
    release(settings, "served", OURS, [DECEMBER, NOVEMBER, NOVEMBER])
    with pytest.raises(FrameInvalid, match="grain account_id, scored_month"):
        ensure(warehouse, settings)
    release(settings, "restored", OURS, [NOVEMBER, DECEMBER])
    assert ensure(warehouse, settings) == 2
