"""Tables that a bank may not have: read where they are, empty where they are not."""

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


def or_empty(connection: duckdb.DuckDBPyConnection, table: str, **columns: str) -> str:
    """What to write after `from`: the table, or no rows of the given columns and types."""
    if has_table(connection, table):
        return table
    empty = ", ".join(f"null::{kind} as {name}" for name, kind in columns.items())
    return f"(select {empty} where false)"


def latest_extract(connection: duckdb.DuckDBPyConnection, table: str, **columns: str) -> str:
    """The same for a landed master: the rows of its latest extract, with those columns alone."""
    if not has_table(connection, table):
        return or_empty(connection, table, **columns)
    return (
        f"(select {', '.join(columns)} from {table} "
        f"where extract_month = (select max(extract_month) from {table}))"
    )
