"""Accounts from before the history: what a delivery lacks to know their balances."""

from __future__ import annotations

from pathlib import Path

from duckdb import DuckDBPyConnection

from orchestration.landing.window import Window, month_before

UNKNOWN = Path(__file__).parent / "unknown_opening.sql"


def opening_notes(connection: DuckDBPyConnection, window: Window) -> list[str]:
    """One line with the number of landed accounts whose balance in the first month is not known,
    and what to deliver; none where all are known."""
    first = window.first_month
    read = connection.execute(UNKNOWN.read_text(encoding="utf-8"), {"first_month": first})
    ((unknown,),) = read.fetchall()
    if not unknown:
        return []
    opened = "1 account was" if unknown == 1 else f"{unknown:,} accounts were"
    theirs = "has no balance in it: it is" if unknown == 1 else "have no balance in it: they are"
    return [
        f"{opened} opened before {first:%Y-%m}, the first month of the bookings, and {theirs} not "
        f"priced while the balance is not known. Deliver account_balance for "
        f"{month_before(first):%Y-%m}, one row an account, or balance_after of the bookings"
    ]
