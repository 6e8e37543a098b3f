"""Accounts from before the history: what a delivery lacks to know their balances."""

from __future__ import annotations

from pathlib import Path

from duckdb import DuckDBPyConnection

from orchestration.landing.window import Window, month_before
from sources.message import Message

UNKNOWN = Path(__file__).parent / "unknown_opening.sql"


def opening_notes(connection: DuckDBPyConnection, window: Window) -> list[str]:
    """One line with the number of landed accounts whose balance in the first month is not known,
    and what to deliver; none where all are known."""
    first = window.first_month
    read = connection.execute(UNKNOWN.read_text(encoding="utf-8"), {"first_month": first})
    ((unknown,),) = read.fetchall()
    if not unknown:
        return []
    since = f"{first:%Y-%m}"
    found = (
        Message(
            "1 account was opened before {0}, the first month of the bookings, and has no balance "
            "in it: it is not priced while the balance is not known",
            since,
        )
        if unknown == 1
        else Message(
            "{0} accounts were opened before {1}, the first month of the bookings, and have no "
            "balance in it: they are not priced while the balance is not known",
            *(f"{unknown:,}", since),
        )
    )
    cure = Message(
        "Deliver account_balance for {0}, one row an account, or balance_after of the bookings",
        f"{month_before(first):%Y-%m}",
    )
    return [Message("{0}. {1}", found, cure)]
