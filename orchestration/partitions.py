"""The months of a bank's history: one partition each, shared by landing, base, value, features."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from orchestration.settings import Settings

# Where the partitions of a source begin and end. A bank's own files may reach back as far as they
# like (the refresh finds their first booking and rebuilds from there), and they go on.
PERIOD: dict[str, tuple[str, str | None]] = {
    "synthetic": ("2023-01", "2025-12"),
    "berka": ("1993-01", "1998-12"),
    "files": ("1990-01", None),
}

# The first refresh covers all months in one run, a later one the months it is asked for.
ONE_RUN = dg.BackfillPolicy.single_run()


def months_of(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Monthly partitions from the source's first month to its last, or the last complete one."""
    first, last = PERIOD[settings.source]
    end = last_day(last) + timedelta(days=1) if last is not None else None
    return dg.MonthlyPartitionsDefinition(
        start_date=settings.first_month or first,
        end_date=f"{end:%Y-%m}" if end else None,
        fmt="%Y-%m",
    )


def first_day(month: str) -> date:
    """`YYYY-MM` → its first day."""
    year, number = month.split("-")
    return date(int(year), int(number), 1)


def last_day(month: str) -> date:
    """`YYYY-MM` → its last day."""
    return (first_day(month) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
