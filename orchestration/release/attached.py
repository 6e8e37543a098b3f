"""The served release beside the build warehouse: what earlier refreshes left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from orchestration.platform.settings import Settings
from orchestration.release.publish import served

RELEASE = "release"


@contextmanager
def attached_release(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[bool]:
    """Attach the served release as `release`; says whether there is one of this warehouse's bank.

    Ids of two banks may be the same. A release that does not say whose it is, is not this bank's.
    """
    path = served(settings)
    if path is None:
        yield False
        return
    quoted = str(path).replace("'", "''")
    connection.execute(f"attach '{quoted}' as {RELEASE} (read_only)")
    try:
        yield _is_of_this_bank(connection)
    finally:
        connection.execute(f"detach {RELEASE}")


def _is_of_this_bank(connection: duckdb.DuckDBPyConnection) -> bool:
    if not (holds(connection, "meta", "bank") and holds(connection, "meta", "bank", RELEASE)):
        return False
    return bool(
        connection.execute(
            "select 1 from meta.bank as own "
            f"inner join {RELEASE}.meta.bank as released on own.identity = released.identity"
        ).fetchall()
    )


def holds(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, database: str | None = None
) -> bool:
    """Whether a database, the warehouse without a name, has a table."""
    return bool(
        connection.execute(
            "select 1 from duckdb_tables() where schema_name = ? and table_name = ? "
            "and database_name = coalesce(?, current_database())",
            [schema, table, database],
        ).fetchall()
    )
