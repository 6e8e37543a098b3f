"""The probabilities of default that expected loss is taken from: `scores.account_default`.

Scores are made after value in a refresh, so that value reads what earlier refreshes left: one row
by account and month at whose end it was scored. The table is therefore an input of this build and
not a result of it. It must be there before dbt runs, and outlive a build warehouse made anew.
"""

from __future__ import annotations

import duckdb

from orchestration.release.publish import served
from orchestration.settings import Settings

COLUMNS = "account_id, scored_month, p_default, default_model_version"

CREATE = """
create schema if not exists scores;
create table if not exists scores.account_default (
    account_id varchar,
    scored_month date,
    p_default decimal(9, 6) not null,
    default_model_version varchar not null,
    primary key (account_id, scored_month)
);
"""


def ensure(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Make `scores.account_default` where it is missing; returns the rows taken over.

    They are those of the served release when that is of the bank of this warehouse, none otherwise.
    A table that is there stays as it is. Whole or not at all: half of the probabilities would never
    be noticed.
    """
    if _holds(connection, "scores", "account_default"):
        return 0
    release = served(settings)
    if release is None:
        connection.execute(CREATE)
        return 0
    path = str(release).replace("'", "''")
    connection.execute(f"attach '{path}' as release (read_only)")
    try:
        connection.execute("begin")
        try:
            connection.execute(CREATE)
            taken = 0
            if _is_of_this_bank(connection):
                taken = connection.execute(
                    f"insert into scores.account_default ({COLUMNS}) "
                    f"select {COLUMNS} from release.scores.account_default"
                ).fetchall()[0][0]
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
    finally:
        connection.execute("detach release")
    return taken


def _is_of_this_bank(connection: duckdb.DuckDBPyConnection) -> bool:
    """The release holds the table and was built from the records of this warehouse's bank.

    Accounts of two banks may bear the same ids. A release that does not say whose it is, is not.
    """
    told = _holds(connection, "meta", "bank") and _holds(connection, "meta", "bank", "release")
    if not told or not _holds(connection, "scores", "account_default", "release"):
        return False
    return bool(
        connection.execute(
            "select 1 from meta.bank as own "
            "inner join release.meta.bank as released on own.identity = released.identity"
        ).fetchall()
    )


def _holds(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, database: str | None = None
) -> bool:
    return bool(
        connection.execute(
            "select 1 from duckdb_tables() where schema_name = ? and table_name = ? "
            "and database_name = coalesce(?, current_database())",
            [schema, table, database],
        ).fetchall()
    )
