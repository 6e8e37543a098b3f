"""The months of a bank's history: one partition each, shared by landing, base, value, features."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from orchestration.settings import Settings

# Where the partitions of a source begin. A bank's own files may reach back as far as they like:
# the refresh finds their first booking and rebuilds from there.
FIRST_MONTH = {"synthetic": "2023-01", "berka": "1993-01", "files": "1990-01"}

# The first refresh covers all months in one run, a later one the months it is asked for.
ONE_RUN = dg.BackfillPolicy.single_run()


def months_of(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Monthly partitions from the source's first month to the last complete month."""
    start = settings.first_month or FIRST_MONTH[settings.source]
    return dg.MonthlyPartitionsDefinition(start_date=start, fmt="%Y-%m")


def first_day(month: str) -> date:
    """`YYYY-MM` → its first day."""
    year, number = month.split("-")
    return date(int(year), int(number), 1)


def last_day(month: str) -> date:
    """`YYYY-MM` → its last day."""
    return (first_day(month) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
