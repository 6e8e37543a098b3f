"""Months as indices 0, 1, … from January 2023; days as days since 1970-01-01."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

FIRST_MONTH = "2023-01"


def to_day(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()


FIRST_DAY = to_day(2023, 1, 1)


@dataclass(frozen=True)
class Month:
    """Month `index`; `start` is its first day, `days` its length."""

    index: int
    start: int
    days: int
    label: str

    @property
    def last(self) -> int:
        return self.start + self.days - 1

    @property
    def of_year(self) -> int:
        return int(self.label[5:])

    @property
    def closes_quarter(self) -> bool:
        return self.of_year % 3 == 0


def month(index: int) -> Month:
    """Month `index` of the bank's calendar; negative indices lie before the history."""
    this = np.datetime64(FIRST_MONTH, "M") + index
    start = int(this.astype("datetime64[D]").astype(np.int64))
    end = int((this + 1).astype("datetime64[D]").astype(np.int64))
    return Month(index, start, end - start, str(this))
