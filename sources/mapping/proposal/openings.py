"""Accounts from before the history, which need an opening balance: asked where no file has any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from sources.booking_range import first_booking_month
from sources.contract import BY_NAME, DAY
from sources.delimited import quoted
from sources.grammar import text_of, typed
from sources.interface import DeliveryRefused, SourceFile
from sources.mapping.dates import as_iso
from sources.mapping.proposal.matching import Match, TableMatch
from sources.mapping.proposal.profiles import EARLIEST_YEAR, is_ambiguous
from sources.message import Message


@dataclass(frozen=True)
class _Bookings:
    """The proposed bookings as a delivery of days."""

    relation: str

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        return [SourceFile("transaction", Path(), self.relation, ("booked_on",))]


def opening_questions(
    connection: duckdb.DuckDBPyConnection, found: Mapping[str, TableMatch]
) -> list[str]:
    """The question for opening balances, where no file is proposed for `account_balance` and days
    of openings and of bookings are; none where no account is older than the bookings.

    Days that fit two formats, or files that cannot be read whole, are asked of without figures.
    """
    opened, booked = _day(found, "account", "opened_on"), _day(found, "transaction", "booked_on")
    if "account_balance" in found or opened is None or booked is None:
        return []
    without_it = BY_NAME["account_balance"].without_it
    loss = Message(without_it)
    try:
        counted = _counted(connection, found, opened, booked)
    except (OSError, EOFError, duckdb.Error, DeliveryRefused):
        # `check` names a file that cannot be read, and bookings without a day.
        counted = None
    if counted is None:
        return [
            Message(
                "account_balance: no file looks like it. Accounts opened before the first month of "
                "the bookings need their balance at the end of the month before it. Without it: "
                "{0}. Which file has it?",
                loss,
            )
        ]
    accounts, first = counted
    if not accounts:
        return []
    before = f"{first - timedelta(days=1):%Y-%m}"
    return [
        Message(
            "account_balance: no file looks like it. Accounts opened before {0}, the first month "
            "of the bookings: {1}. They need their balance at the end of {2}. Without it: {3}. "
            "Which file has it?",
            *(f"{first:%Y-%m}", f"{accounts:,}", before, loss),
        )
    ]


def _day(found: Mapping[str, TableMatch], table: str, column: str) -> Match | None:
    """The proposed column, if it has days."""
    match = found[table].matches.get(column) if table in found else None
    return match if match is not None and match.profile.dates else None


def _counted(
    connection: duckdb.DuckDBPyConnection,
    found: Mapping[str, TableMatch],
    opened: Match,
    booked: Match,
) -> tuple[int, date] | None:
    """Accounts opened before the first month of the bookings, and its first day; None where a day
    may be read as two."""
    account, key = found["account"], found["account"].matches.get("account_id")
    if key is None or any(is_ambiguous(one.profile.dates) for one in (opened, booked)):
        return None
    bookings = found["transaction"].seen.whole([booked.profile.name])
    days = _Bookings(connection.sql(bookings).project(f"{_iso(booked)} as booked_on").sql_query())
    first = date.fromisoformat(f"{first_booking_month(connection, days)}-01")
    rows = connection.sql(account.seen.whole([key.profile.name, opened.profile.name]))
    earlier = rows.filter(f"{typed(_iso(opened), DAY)} < date '{first}'")
    # Extracts by month repeat an account.
    counted = earlier.aggregate(f"count(distinct trim({quoted(key.profile.name)}::varchar))")
    ((accounts,),) = counted.fetchall()
    return accounts, first


def _iso(match: Match) -> str:
    """SQL: the column's days as the contract writes them."""
    text = text_of(quoted(match.profile.name), DAY)
    return as_iso(text, match.profile.dates[:1], EARLIEST_YEAR)
