"""Tables and columns that a database may not have."""

from __future__ import annotations

import duckdb


def has_table(
    connection: duckdb.DuckDBPyConnection, table: str, database: str | None = None
) -> bool:
    """Whether a table or view `schema.name` exists in a database, by default the current one."""
    schema, name = table.split(".")
    return bool(
        connection.execute(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ? "
            "and table_catalog = coalesce(?, current_database())",
            [schema, name, database],
        ).fetchall()
    )


def has_column(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    """Whether a table or view `schema.name` of the current database has a column."""
    schema, name = table.split(".")
    return bool(
        connection.execute(
            "select 1 from information_schema.columns where table_schema = ? and table_name = ? "
            "and column_name = ? and table_catalog = current_database()",
            [schema, name, column],
        ).fetchall()
    )
