"""Cut-offs: the month ends at which models are trained, evaluated and refitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

LONG_HORIZON, SHORT_HORIZON = 12, 6
LEAST_HISTORY = 3
CUTOFF_STEP = 3
MOST_CUTOFFS = 4
MOST_ORIGINS = 2
TOO_SHORT = "history too short: 15 months are needed for a horizon of 6, 27 for one of 12"


def plus_months(month: date, count: int) -> date:
    """The first day of a month so many months later (or earlier)."""
    number = month.year * 12 + month.month - 1 + count
    return date(number // 12, number % 12 + 1, 1)


def months_between(first: date, last: date) -> int:
    """Whole months from one first day to another."""
    return (last.year - first.year) * 12 + last.month - first.month


@dataclass(frozen=True)
class Origin:
    """A forecast origin: its training cut-offs and its evaluation cut-off.

    No label of a training cut-off reaches beyond the evaluation cut-off.
    """

    training: tuple[date, ...]
    evaluation: date


@dataclass(frozen=True)
class CutoffPlan:
    """Cut-off months of a horizon: rolling origins, oldest first, and the cut-offs of the refit.

    The newest origin decides; earlier ones show whether its result was chance. `refit` are the
    newest cut-offs whose labels are complete: the scoring model is fitted on them.
    """

    horizon: int
    origins: tuple[Origin, ...]
    refit: tuple[date, ...]

    @property
    def evaluation(self) -> date:
        return self.origins[-1].evaluation


def plan_cutoffs(first_month: date, as_of_month: date) -> CutoffPlan | None:
    """The cut-offs that a history allows; None where it is too short for any.

    The deciding evaluation cut-off lies one horizon before the as-of month, the last training
    cut-off one horizon before that; an earlier origin lies three months before, where that leaves
    two cut-offs to learn from (rolling origin evaluation; Tashman, 2000). Twelve months where there
    are 2 × 12 + 3 months, else six.
    """
    months = months_between(first_month, as_of_month) + 1
    for horizon in (LONG_HORIZON, SHORT_HORIZON):
        if months >= 2 * horizon + LEAST_HISTORY:
            break
    else:
        return None
    earliest = plus_months(first_month, LEAST_HISTORY - 1)

    def back_from(month: date) -> tuple[date, ...]:
        cutoffs: list[date] = []
        while month >= earliest and len(cutoffs) < MOST_CUTOFFS:
            cutoffs.append(month)
            month = plus_months(month, -CUTOFF_STEP)
        return tuple(reversed(cutoffs))

    newest = plus_months(as_of_month, -horizon)
    origins: list[Origin] = []
    for number in range(MOST_ORIGINS):
        evaluation = plus_months(newest, -CUTOFF_STEP * number)
        training = back_from(plus_months(evaluation, -horizon))
        if number and len(training) < 2:
            break
        origins.append(Origin(training, evaluation))
    return CutoffPlan(horizon, tuple(reversed(origins)), back_from(newest))
