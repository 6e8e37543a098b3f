"""The months of a bank's history: a refresh is as of one of them, its partition in Dagster."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from orchestration.platform.settings import MONTH, Settings

# First and last partition of each source. A bank's own files have no last month, and start early
# enough for any history (the refresh begins at the first booking).
PERIOD: dict[str, tuple[str, str | None]] = {
    "synthetic": ("2023-01", "2025-12"),
    "berka": ("1993-01", "1998-12"),
    "files": ("1990-01", None),
}


# A backfill of several as-of months is a refresh of each, one after the other.
ONE_MONTH_A_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


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


def months_written(text: str, name: str = "MONTHS") -> tuple[str, str]:
    """`YYYY-MM` or `YYYY-MM:YYYY-MM` → first and last month; `name` is the setting in messages.

    Raises
    ------
    ValueError
        For a text of another form.
    """
    parts = text.split(":")
    start, end = parts[0], parts[-1]
    if len(parts) > 2 or not MONTH.match(start) or not MONTH.match(end):
        raise ValueError(f"{name}={text} is invalid: expected YYYY-MM or YYYY-MM:YYYY-MM")
    return start, end


def months_asked(
    text: str | None, first_month: str, as_of: str, name: str = "MONTHS"
) -> tuple[str, str]:
    """First and last requested month; the whole history without a text.

    Raises
    ------
    ValueError
        For a text of another form, or months outside the history.
    """
    if not text:
        return first_month, as_of
    start, end = months_written(text, name)
    if not first_month <= start <= end <= as_of:
        raise ValueError(
            f"{name}={text} is invalid: expected months in {first_month}:{as_of}, in order"
        )
    return start, end
