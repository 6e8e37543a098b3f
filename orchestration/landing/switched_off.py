"""What a bank does not get, for want of a table or column of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from orchestration.platform.optional_tables import has_column, has_table
from sources.contract import GAINS, loss_of
from sources.vocabulary import lines_where

COUNTED = "profile.landing_table"
HELD = "base.account_month"
BALANCES = ("account_balance",)
CREDIT = list(lines_where("is_credit"))
COUNT_UNKNOWN = Path(__file__).parent / "count_unknown.sql"


def undelivered(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Of a release or the build warehouse: what was not delivered, as `GAINS` names it: a table
    without rows (`loan`), or a column without a value (`customer.employee_id`).

    Empty where G1 has not counted the tables; without columns in releases of earlier versions.
    """
    if not has_table(connection, COUNTED):
        return set()
    counted = connection.table(COUNTED)
    lacking = "lacking" if has_column(connection, COUNTED, "lacking") else "null"
    found = counted.select(f"table_name, required, rows, {lacking}").fetchall()
    empty = {table for table, is_required, rows, _ in found if not rows and not is_required}
    return empty | {
        f"{table}.{name}" for table, *_, names in found if names for name in names.split(",")
    }


def _in_order(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, ...]]:
    """`GAINS` by what they unlock in this bank: balances come before everything where more accounts
    lack a known balance than have credit, and last where every balance is known."""
    if not has_column(connection, HELD, "is_balance_known"):
        return list(GAINS)
    latest = connection.execute(COUNT_UNKNOWN.read_text(encoding="utf-8"), {"credit": CREDIT})
    ((unknown, lent),) = latest.fetchall()
    if unknown and unknown <= lent:
        return list(GAINS)
    others = [together for together in GAINS if together != BALANCES]
    return [BALANCES, *others] if unknown else [*others, BALANCES]


def switched_off(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """What a bank does not get, what it would gain most from first: `names` of the tables and
    columns to deliver, as of `undelivered`, and what follows without them (`without_it`)."""
    missing = undelivered(connection)
    rows = []
    for together in _in_order(connection):
        if names := [name for name in together if name in missing]:
            rows.append({"names": names, "without_it": loss_of(names[0])})
    return rows
