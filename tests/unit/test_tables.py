"""What Python writes is what a dbt source declares; anything else is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from orchestration.platform import tables
from orchestration.platform.tables import (
    FrameInvalid,
    TableUndeclared,
    append_rows,
    declared,
    ensure_table,
    write_table,
)

DECLARED = """
sources:
  - name: shop
    schema: sold
    tables:
      - name: item
        description: what the shop's customers bought
        config:
          meta: {owner: sales, grain: [day, item]}
        columns:
          - {name: day, data_type: date, description: the day}
          - {name: item, data_type: text, description: the item}
          - {name: pieces, data_type: integer, description: number, constraints: [{type: not_null}]}
          - {name: price, data_type: "decimal(18, 2)", description: a piece}
          - {name: share, data_type: double, description: of the day's pieces}
          - {name: is_returned, data_type: boolean, description: whether it came back}
          - {name: returned_on, data_type: date, description: the day of that}
      - name: total
        description: all of it
        config:
          meta: {owner: sales, grain: [one row]}
        columns:
          - {name: pieces, data_type: bigint, description: how many}
      - name: draft
        description: nobody owns it
        config:
          meta: {grain: [item]}
        columns:
          - {name: item, data_type: varchar}
"""
ROWS = {
    "item": ["pen", "ink"],
    "day": [datetime(2025, 12, 1), datetime(2025, 12, 2)],
    "pieces": [3, 4],
    "price": [1.5, 2.255],
    "share": [1, 1],
    "is_returned": [None, None],
    "returned_on": [None, None],
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    (tmp_path / "models" / "sold").mkdir(parents=True)
    (tmp_path / "models" / "sold" / "sources.yml").write_text(DECLARED)
    monkeypatch.setattr(tables, "DBT_PROJECT", tmp_path)
    tables._sources.cache_clear()
    with duckdb.connect() as connection:
        yield connection
    tables._sources.cache_clear()


def sold(**changed: object) -> pd.DataFrame:
    return pd.DataFrame({**ROWS, **changed})


def test_a_table_has_the_declared_columns_order_types_and_descriptions(shop):
    assert write_table(shop, "sold.item", sold()) == 2
    assert shop.execute("from sold.item").fetchall() == [
        (date(2025, 12, 1), "pen", 3, Decimal("1.50"), 1.0, None, None),
        (date(2025, 12, 2), "ink", 4, Decimal("2.26"), 1.0, None, None),
    ]
    assert shop.execute(
        "select column_name, data_type, comment from duckdb_columns() where table_name = 'item'"
    ).fetchall() == [
        ("day", "DATE", "the day"),
        ("item", "VARCHAR", "the item"),
        ("pieces", "INTEGER", "number"),
        ("price", "DECIMAL(18,2)", "a piece"),
        ("share", "DOUBLE", "of the day's pieces"),
        ("is_returned", "BOOLEAN", "whether it came back"),
        ("returned_on", "DATE", "the day of that"),
    ]
    assert shop.execute(
        "select comment from duckdb_tables() where table_name = 'item'"
    ).fetchall() == [("what the shop's customers bought",)]


def test_money_in_an_arrow_table_never_becomes_a_float(shop):
    price = Decimal("12345678901234.57")
    rows = pa.Table.from_pandas(sold().drop(columns="price"), preserve_index=False)
    rows = rows.append_column("price", pa.array([price, None], pa.decimal128(18, 2)))
    write_table(shop, "sold.item", rows)
    assert shop.execute("select price from sold.item").fetchall() == [(price,), (None,)]


def test_a_table_is_replaced_also_by_no_rows(shop):
    write_table(shop, "sold.item", sold())
    assert write_table(shop, "sold.item", sold().head(0)) == 0
    write_table(shop, "sold.item", sold())
    assert write_table(shop, "sold.item", None) == 0
    assert shop.execute("select * from sold.item").fetchall() == []
    assert shop.table("sold.item").types[3] == "DECIMAL(18,2)"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            sold().drop(columns="price"),
            "sold.item is not written: column price: expected decimal(18, 2), found no such column",
        ),
        (sold(colour="red"), "column colour: expected no such column, found VARCHAR"),
        (sold(pieces=["3", "4"]), "column pieces: expected integer, found VARCHAR"),
        (sold(pieces=[3.0, 4.5]), "column pieces: expected integer, found DOUBLE"),
        (sold(item=[1, 2]), "column item: expected text, found BIGINT"),
        (sold(is_returned=[0, 1]), "column is_returned: expected boolean, found BIGINT"),
        (sold(pieces=[3, 2**40]), "column pieces: expected integer, found 1 unfit values"),
        (sold(price=[1e20, 1]), "column price: expected decimal(18, 2), found 1 unfit values"),
        (
            sold(day=[datetime(2025, 12, 1, 9), datetime(2025, 12, 2)]),
            "column day: expected date, found 1 unfit values",
        ),
        (sold(pieces=[None, None]), "column pieces: expected no NULL, found 2"),
        (sold(item=["pen", None]), "column item: expected no NULL, found 1"),
        (
            sold(item="pen", day=datetime(2025, 12, 1)),
            "grain day, item: expected one row of each, found 1 with more",
        ),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_and_the_table_stays(shop, frame, message):
    write_table(shop, "sold.item", sold())
    with pytest.raises(FrameInvalid) as refused:
        write_table(shop, "sold.item", frame)
    assert message in str(refused.value)
    assert shop.execute("select count(*) from sold.item").fetchall() == [(2,)]


def test_a_frame_is_written_in_any_order_of_its_rows(shop):
    """DuckDB refuses to read a frame whose arrays run backwards."""
    assert write_table(shop, "sold.item", sold(share=[0.5, 1.5]).iloc[::-1]) == 2
    assert shop.execute("select item, share from sold.item").fetchall() == [
        ("ink", 1.5),
        ("pen", 0.5),
    ]


def test_rows_are_added_under_the_same_rules(shop):
    assert ensure_table(shop, "sold.item")
    append_rows(shop, "sold.item", sold().head(1))
    append_rows(shop, "sold.item", sold().tail(1))
    assert not ensure_table(shop, "sold.item")
    kept = shop.execute("from sold.item").fetchall()
    write_table(shop, "sold.item", sold())
    assert kept == shop.execute("from sold.item").fetchall()
    with pytest.raises(FrameInvalid, match="column price: expected decimal"):
        append_rows(shop, "sold.item", sold(day=datetime(2025, 12, 3)).drop(columns="price"))
    with pytest.raises(FrameInvalid, match="grain day, item: .* found 2 in the table already"):
        append_rows(shop, "sold.item", sold())
    assert kept == shop.execute("from sold.item").fetchall()


def test_a_table_that_is_made_empty_is_described(shop):
    ensure_table(shop, "sold.total")
    assert shop.execute(
        "select comment from duckdb_columns() where table_name = 'total'"
    ).fetchall() == [("how many",)]


def test_every_misfit_is_named_at_once(shop):
    with pytest.raises(FrameInvalid, match="column day.*column price"):
        write_table(shop, "sold.item", sold().drop(columns=["day", "price"]))


def test_a_table_of_one_row_has_one(shop):
    assert write_table(shop, "sold.total", pd.DataFrame({"pieces": [7]})) == 1
    for pieces in ([7, 7], []):
        with pytest.raises(
            FrameInvalid, match=f"grain of the table: expected one row, found {len(pieces)}"
        ):
            write_table(shop, "sold.total", pd.DataFrame({"pieces": pieces}))


def test_every_source_with_columns_declares_all_of_itself():
    tables._sources.cache_clear()
    found = [table for table, source in tables._sources().items() if source.get("columns")]
    assert "decisions.contact_plan" in found
    for table in found:
        one = declared(table)
        assert set(one.grain) <= {column.name for column in one.columns}


def test_undeclared_tables_are_not_written(shop):
    with pytest.raises(TableUndeclared, match="sold.nothing is not declared: add it to"):
        write_table(shop, "sold.nothing", sold())
    with pytest.raises(
        TableUndeclared,
        match=r"source sold.draft is incomplete: expected owner, item.description",
    ):
        write_table(shop, "sold.draft", sold())
