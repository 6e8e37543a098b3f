"""The probabilities of default that expected loss is taken from: `scores.account_default`.

Scores are made after value in a refresh, so that value reads what earlier refreshes left: one row
by account and month at whose end it was scored. The table is therefore an input of this build and
not a result of it. It must exist before dbt runs, and survive a rebuilt warehouse.
"""

from __future__ import annotations

import duckdb

from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import RELEASE, attached_release
from orchestration.platform.settings import Settings

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
    A table that is there stays as it is. The table is filled as a whole or not at all,
    since a missing part would not be noticed.
    """
    if has_table(connection, "scores.account_default"):
        return 0
    with attached_release(connection, settings) as is_of_this_bank:
        connection.execute("begin")
        try:
            connection.execute(CREATE)
            taken = 0
            if is_of_this_bank and has_table(connection, "scores.account_default", RELEASE):
                taken = connection.execute(
                    f"insert into scores.account_default ({COLUMNS}) "
                    f"select {COLUMNS} from {RELEASE}.scores.account_default"
                ).fetchall()[0][0]
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
    return taken
