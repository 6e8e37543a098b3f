"""The months of one landing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class Window:
    """The months of one run. All months are first days; `as_of` is the last day of its month."""

    first_month: date
    month_from: date
    month_to: date
    as_of: date

    def __post_init__(self) -> None:
        months = (self.first_month, self.month_from, self.month_to)
        if any(month.day != 1 for month in months):
            raise ValueError(
                "first_month, month_from and month_to are invalid: expected first days of months"
            )
        if (self.as_of + timedelta(days=1)).day != 1:
            raise ValueError(
                f"as_of is invalid: expected the last day of a month, got {self.as_of}"
            )
        if not self.first_month <= self.month_from <= self.month_to <= self.as_of:
            raise ValueError(
                f"months {self.month_from:%Y-%m} to {self.month_to:%Y-%m} are invalid: expected "
                f"months in {self.first_month:%Y-%m}:{self.as_of:%Y-%m}, in order"
            )

    @property
    def whole(self) -> bool:
        """Whether the run rebuilds the whole history."""
        return self.month_from == self.first_month and self.month_to == self.as_of.replace(day=1)

    def holds(self, month: date) -> bool:
        """Whether the month is one of the run's."""
        return self.month_from <= month <= self.month_to


def month_before(month: date) -> date:
    """The first day of the month before, of a first day."""
    return (month - timedelta(days=1)).replace(day=1)
