"""The bank's business days: Monday to Friday without its holidays."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings, named

COLUMNS = ["date", "name"]
SATURDAY = 5


class HolidaysRefused(Refused):
    """The file of holidays cannot be read."""


def holidays_of(settings: Settings) -> frozenset[date]:
    """The days of the settings' file; none without one.

    Raises
    ------
    HolidaysRefused
        With the line that is no day.
    """
    path = settings.holidays
    return read_holidays(path) if path is not None else frozenset()


def read_holidays(path: Path) -> frozenset[date]:
    """The days of a CSV file with the columns `date` (YYYY-MM-DD) and `name`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise HolidaysRefused(
            f"{named('holidays')} is invalid: {path} cannot be read ({type(error).__name__}). Name "
            "a CSV file in UTF-8."
        ) from error
    if not rows or [name.strip() for name in rows[0]] != COLUMNS:
        raise HolidaysRefused(f"{path} is invalid: expected the header {','.join(COLUMNS)}")
    days = set()
    for number, row in enumerate(rows[1:], start=2):
        try:
            days.add(date.fromisoformat(row[0].strip()))
        except ValueError:
            raise HolidaysRefused(
                f"{path}, line {number} is invalid: expected a day YYYY-MM-DD, got {row[0]!r}"
            ) from None
    return frozenset(days)


def business_day(month: date, number: int, holidays: frozenset[date]) -> date:
    """The business day of a month with a number, 1 for the first; `month` is any of its days.

    With many holidays it may lie in a later month.
    """
    day = month.replace(day=1) - timedelta(days=1)
    while number:
        day += timedelta(days=1)
        number -= day.weekday() < SATURDAY and day not in holidays
    return day
