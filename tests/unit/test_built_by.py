"""`meta.engine`: the digest of a table is that of its content, whatever the order of its rows."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from orchestration.platform import built_by
from orchestration.platform.settings import Settings

ROWS = """
    (values
        ('A', date '2025-12-01', 1.10::decimal(18, 2), 0.1::double, 5.0::decimal(38, 12)),
        ('B', date '2025-12-01', 2.20, 1e12, null),
        ('C', null, 3.30, null, 7.0)
    ) as t (id, day, amount, share, discounted)
"""


@pytest.fixture
def bank() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create schema base; create schema meta")
    return connection


def content(bank: duckdb.DuckDBPyConnection, query: str) -> tuple[int, str, float | None]:
    bank.execute(f"create or replace view base.account as {query}")
    found = built_by.content(bank, "base.account")
    return found["rows"], found["digest"], found["doubles"]


def test_the_order_of_rows_and_columns_does_not_matter(bank: duckdb.DuckDBPyConnection) -> None:
    forwards, backwards = (
        content(bank, f"select {columns} from {ROWS} order by id {way}")
        for columns, way in (("*", "asc"), ("discounted, share, amount, day, id", "desc"))
    )
    assert forwards[:2] == backwards[:2]
    assert forwards[2] == pytest.approx(backwards[2], rel=1e-15)


@pytest.mark.parametrize(
    "change",
    [
        "(amount + 0.01)::decimal(18, 2) as amount",
        "case id when 'A' then 'B' when 'B' then 'A' else id end as id",
        "coalesce(day, date '2025-12-01') as day",
        "coalesce(share, 0) as share",
        "amount::decimal(38, 2) as amount",
    ],
)
def test_what_is_exact_and_what_is_empty_is_in_the_digest(
    bank: duckdb.DuckDBPyConnection, change: str
) -> None:
    given, changed = (
        content(bank, f"select {what} from {ROWS}") for what in ("*", f"* replace ({change})")
    )
    assert given[0] == changed[0] and given[1] != changed[1]


@pytest.mark.parametrize(
    ("change", "is_near"),
    [
        ("share * (1 + 1e-12) as share", True),
        ("(discounted + 1e-12)::decimal(38, 12) as discounted", True),
        ("share * (1 + 1e-6) as share", False),
        ("(discounted + 1e-6)::decimal(38, 12) as discounted", False),
        # The figures of two rows, and of two columns.
        ("case id when 'A' then 1e12 when 'B' then 0.1 end::double as share", False),
        ("case id when 'A' then 5.0 else share end as share, case id when 'A' then 0.1 "
         "else discounted end::decimal(38, 12) as discounted", False),
    ],
)  # fmt: skip
def test_doubles_are_compared_to_a_tolerance(
    bank: duckdb.DuckDBPyConnection, change: str, is_near: bool
) -> None:
    given, changed = (
        content(bank, f"select {what} from {ROWS}") for what in ("*", f"* replace ({change})")
    )
    assert given[:2] == changed[:2]
    assert given[2] is not None and changed[2] is not None
    assert (abs(given[2] - changed[2]) <= built_by.TOLERANCE) is is_near


def test_a_table_without_rows_or_doubles_has_a_digest(bank: duckdb.DuckDBPyConnection) -> None:
    assert content(bank, f"select * from {ROWS} where false") == (0, "0", None)
    assert content(bank, "select 1 as id")[2] is None


def test_a_layer_that_is_built_again_replaces_its_own_rows(
    bank: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    for name in ("account", "customer", "gone"):
        bank.execute(f"create table base.{name} as select * from {ROWS}")
    for layer, tables in (
        ("value", ["base.customer"]),
        ("base", ["base.account", "base.gone"]),
        ("base", ["base.account"]),
    ):
        built_by.record(bank, settings, layer, tables, on_spark=False)
    assert bank.execute(
        "select layer, table_name, engine, engine_version, java_version, rows from meta.engine "
        "order by all"
    ).fetchall() == [
        ("base", "base.account", "duckdb", duckdb.__version__, None, 3),
        ("value", "base.customer", "duckdb", duckdb.__version__, None, 3),
    ]
