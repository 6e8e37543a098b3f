"""What a bank does not get, for want of an optional table of the contract."""

from __future__ import annotations

import duckdb

from orchestration.platform.optional_tables import has_table
from sources import contract


def switched_off(connection: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
    """Of a release or the build warehouse: each `table` that was not delivered, and what it is
    needed for (`without_it`). Empty where G1 has not counted the tables."""
    if not has_table(connection, "profile.landing_table"):
        return []
    counted = connection.table("profile.landing_table").filter("not required and rows = 0")
    missing = {name for (name,) in counted.project("table_name").fetchall()}
    return [
        {"table": table.name, "without_it": table.without_it}
        for table in contract.TABLES
        if table.name in missing and table.without_it
    ]
