"""What the UI shows of an asset: description, owners, number of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.platform.tables import declared

if TYPE_CHECKING:
    import duckdb

ROW_COUNT, COLUMN_SCHEMA = "dagster/row_count", "dagster/column_schema"
COLUMN_LINEAGE = "dagster/column_lineage"


def team(name: str) -> list[str]:
    """The owners of an asset: a team of the bank, by its name in the dbt project."""
    return [f"team:{name}"]


def sentences(words: str) -> str:
    """The parts of a declaration's words, which semicolons divide, as sentences."""
    return " ".join(f"{part[0].upper()}{part[1:].rstrip('.')}." for part in words.split("; "))


def count_rows(connection: duckdb.DuckDBPyConnection, key: dg.AssetKey) -> int:
    """The rows of an asset's table or view in the warehouse."""
    return connection.table(_name(key)).count("*").fetchall()[0][0]


def columns_of(
    connection: duckdb.DuckDBPyConnection,
    key: dg.AssetKey,
    meanings: Mapping[str, str] | None = None,
) -> dg.TableSchema:
    """The columns of an asset's table in the warehouse, with their meanings."""
    table = connection.table(_name(key))
    return dg.TableSchema(
        [
            dg.TableColumn(name, str(kind).lower(), (meanings or {}).get(name) or None)
            for name, kind in zip(table.columns, table.types, strict=True)
        ]
    )


def rows_and_columns(
    connection: duckdb.DuckDBPyConnection, key: dg.AssetKey
) -> dict[str, int | dg.TableSchema]:
    """The metadata of an asset whose table Python writes; the meaning of a column is its comment in
    the warehouse."""
    meanings = dict(
        connection.execute(
            "select column_name, comment from duckdb_columns() where schema_name = ? "
            "and table_name = ? and database_name = current_database()",
            list(key.path),
        ).fetchall()
    )
    return {
        ROW_COUNT: count_rows(connection, key),
        COLUMN_SCHEMA: columns_of(connection, key, meanings),
    }


def declared_asset(table: str, read: Sequence[str]) -> dg.AssetSpec:
    """A table `schema.name` that Python writes, as its dbt source declares it; `read` are the
    tables that it is made from."""
    found = declared(table)
    return dg.AssetSpec(
        table.split("."),
        deps=[dg.AssetKey(one.split(".")) for one in read],
        group_name=table.split(".")[0],
        kinds={"duckdb"},
        owners=team(found.owner),
        description=sentences(found.description),
    )


def _name(key: dg.AssetKey) -> str:
    return ".".join(f'"{part}"' for part in key.path)
