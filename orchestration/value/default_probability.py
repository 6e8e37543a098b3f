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
from orchestration.platform.tables import write_table

TABLE = "scores.account_default"
COLUMNS = "account_id, scored_month, p_default, default_model_version"


def ensure(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Make `scores.account_default` where it is missing; returns the rows taken over.

    They are those of the served release when that is of the bank of this warehouse, none otherwise.
    A table that is there stays as it is. The table is filled as a whole or not at all,
    since a missing part would not be noticed.

    Raises
    ------
    orchestration.platform.tables.FrameInvalid
        When the release holds two rows of an account and month.
    """
    if has_table(connection, TABLE):
        return 0
    with attached_release(connection, settings) as is_of_this_bank:
        kept = None
        if is_of_this_bank and has_table(connection, TABLE, RELEASE):
            kept = connection.sql(f"select {COLUMNS} from {RELEASE}.{TABLE}").to_arrow_table()
    return write_table(connection, TABLE, kept)
