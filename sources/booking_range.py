"""Derive the months that a delivery covers from its booking dates."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Protocol

import duckdb

from sources.contract import DAY
from sources.grammar import text_of, typed
from sources.interface import DeliveryRefused, Problem, SourceFile
from sources.message import Message

# Months. A date before a longer pause in the history is an error.
LONGEST_PAUSE = 12


class Delivery(Protocol):
    """The part of a source that this module uses."""

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]: ...


def booking_days(
    connection: duckdb.DuckDBPyConnection, source: Delivery, today: date | None = None
) -> list[date]:
    """The latest booking date of each month with bookings, in order; none after today."""
    latest: dict[date, date] = {}
    for file in source.files(connection):
        if file.table != "transaction" or "booked_on" not in file.columns:
            continue
        booked = typed(text_of("booked_on", DAY), DAY)
        found = connection.execute(
            f"""select date_trunc('month', booked_on)::date as month, max(booked_on)
                from (select {booked} as booked_on from ({file.relation}))
                where booked_on between date '1900-01-01' and ? group by month""",
            [today or date.today()],
        ).fetchall()
        for month, day in found:
            latest[month] = max(day, latest.get(month, day))
    return [day for _, day in sorted(latest.items())]


def last_booking(
    connection: duckdb.DuckDBPyConnection, source: Delivery, today: date | None = None
) -> date | None:
    """The latest booking date up to today; None without bookings."""
    return max(booking_days(connection, source, today), default=None)


def first_booking_month(
    connection: duckdb.DuckDBPyConnection, source: Delivery, today: date | None = None
) -> str:
    """The first month (YYYY-MM) of the history: the earliest with bookings after which no pause
    exceeds a year. A single misdated row must not create a century of empty months.

    Raises
    ------
    DeliveryRefused
        When there are no bookings.
    """
    days = booking_days(connection, source, today)
    if not days:
        raise _no_booking()
    first = days[-1]
    for day in reversed(days[:-1]):
        if (first.year - day.year) * 12 + first.month - day.month > LONGEST_PAUSE:
            break
        first = day
    return f"{first:%Y-%m}"


def resolve_as_of(
    connection: duckdb.DuckDBPyConnection, source: Delivery, today: date | None = None
) -> str:
    """The last complete month (YYYY-MM): the month of the last booking if it falls in the month's
    last three days, else the month before.

    Raises
    ------
    DeliveryRefused
        When there are no bookings.
    """
    latest = last_booking(connection, source, today)
    if latest is None:
        raise _no_booking()
    if (latest + timedelta(days=3)).month == latest.month:
        latest = latest.replace(day=1) - timedelta(days=1)
    return f"{latest:%Y-%m}"


def _no_booking() -> DeliveryRefused:
    return DeliveryRefused(
        [
            Problem(
                "transaction",
                "booked_on",
                Message("has no date up to today: expected at least one booking"),
                Message("Deliver bookings dated YYYY-MM-DD."),
            )
        ]
    )
