"""Power of a test of two shares: the effect that a campaign's arms can detect."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import norm

SIGNIFICANCE, POWER = 0.05, 0.8


def power_of(treated: int, control: int, base_rate: float, effect: float) -> float:
    """Probability that a two-sided test at 5 % finds the effect, by the normal approximation.

    Parameters
    ----------
    treated, control : customers of each arm
    base_rate : share of the control arm that responds
    effect : share of the treatment arm that responds, less `base_rate`

    Returns
    -------
    between 0 and 1; NaN where an arm is empty or a rate lies outside 0 to 1

    References
    ----------
    Fleiss, J. L., Levin, B. & Paik, M. C. (2003). Statistical Methods for Rates and Proportions,
    3rd ed., ch. 4, without the correction for continuity.
    """
    rate = base_rate + effect
    if min(treated, control) < 1 or not (0 <= base_rate <= 1 and 0 <= rate <= 1):
        return math.nan
    pooled = (treated * rate + control * base_rate) / (treated + control)
    under_none = math.sqrt(pooled * (1 - pooled) * (1 / treated + 1 / control))
    under_effect = math.sqrt(rate * (1 - rate) / treated + base_rate * (1 - base_rate) / control)
    border = norm.ppf(1 - SIGNIFICANCE / 2) * under_none
    if under_effect == 0:
        return float(abs(effect) > border)
    return float(
        norm.cdf((abs(effect) - border) / under_effect)
        + norm.cdf((-abs(effect) - border) / under_effect)
    )


def minimum_detectable_effect(treated: int, control: int, base_rate: float) -> float:
    """The least positive effect that is detected with a power of 80 %; NaN if none is."""
    most = 1 - base_rate
    if not power_of(treated, control, base_rate, most) >= POWER:
        return math.nan
    return float(
        brentq(lambda effect: power_of(treated, control, base_rate, effect) - POWER, 0.0, most)
    )


def control_share_for(customers: int, base_rate: float, effect: float) -> float:
    """The least share of the customers to hold out for a power of 80 %; NaN if half of them is not
    enough (power is about highest with equal arms)."""
    if not power_of(customers - customers // 2, customers // 2, base_rate, effect) >= POWER:
        return math.nan
    low, high = 1, customers // 2
    while low < high:
        middle = (low + high) // 2
        if power_of(customers - middle, middle, base_rate, effect) >= POWER:
            high = middle
        else:
            low = middle + 1
    return low / customers
