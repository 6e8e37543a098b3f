"""Accounts in dollars: the month's rates, and exact translation as the value layer's."""

from __future__ import annotations

import numpy as np

from sources.synthetic.population import Ints
from sources.synthetic.products import Slot

BANKS_OWN, FOREIGN = "EUR", "USD"
FOREIGN_SHARE = 0.05  # of the customers
IN_DOLLARS = (Slot.SAVINGS, Slot.TERM_DEPOSIT)
UNIT = 100_000  # of a rate


def rates_of(month_index: int) -> tuple[int, int]:
    """Average and closing rate of a month, a slow wave: hundred-thousandths of a euro a dollar."""
    average, closing = 0.92 + 0.04 * np.sin((month_index + np.array([0.5, 1.0])) / 6)
    return round(average * UNIT), round(closing * UNIT)


def to_euros(cents: Ints, rate: int) -> Ints:
    """Cents of dollars as cents of euros, rounded half away from zero."""
    return _divided(cents * rate, UNIT)


def to_dollars(cents: Ints, rate: int) -> Ints:
    """Cents of euros as cents of dollars; back at the same rate below 1, they are the same."""
    return _divided(cents * UNIT, rate)


def _divided(dividend: Ints, divisor: int) -> Ints:
    return np.sign(dividend) * ((2 * np.abs(dividend) + divisor) // (2 * divisor))
