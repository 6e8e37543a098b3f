"""What branches are called, beside their ids."""

from __future__ import annotations

import duckdb

from orchestration.platform.optional_tables import has_table


def branch_names(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Of a release or the build warehouse: branch_id → name, of branches that have another name
    than their id."""
    if not has_table(connection, "base.branch"):
        return {}
    named = connection.table("base.branch").filter("branch_name <> branch_id")
    return dict(named.select("branch_id, branch_name").fetchall())
