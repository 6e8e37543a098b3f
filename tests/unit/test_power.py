"""Power of a campaign's arms: a published sample size, a simulation, and what cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.proportion import power_proportions_2indep

from ml.decisions.power import control_share_for, minimum_detectable_effect, power_of


def test_the_published_sample_size_of_ten_against_twenty_percent():
    """199 a group for a power of 80 % at 5 %, two-sided (Fleiss, Levin and Paik, 2003)."""
    assert power_of(199, 199, 0.1, 0.1) >= 0.8 > power_of(198, 198, 0.1, 0.1)


@pytest.mark.parametrize(
    ("treated", "control", "base", "effect"),
    [(900, 100, 0.05, 0.06), (500, 500, 0.02, 0.02), (2_000, 200, 0.1, -0.06), (400, 400, 0.3, 0)],
)
def test_power_is_how_often_a_test_finds_the_effect(treated, control, base, effect):
    rng = np.random.default_rng(3)
    one = rng.binomial(treated, base + effect, 40_000) / treated
    other = rng.binomial(control, base, 40_000) / control
    pooled = (treated * one + control * other) / (treated + control)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / treated + 1 / control))
    found = np.abs(one - other) > norm.ppf(0.975) * spread
    power = power_of(treated, control, base, effect)
    assert power == pytest.approx(found.mean(), abs=0.05)
    ratio = control / treated
    peer = power_proportions_2indep(effect, base, treated, ratio=ratio, return_results=False)
    assert power == pytest.approx(peer, rel=1e-12)


def test_the_least_effect_that_is_found_has_a_power_of_eighty_percent():
    effect = minimum_detectable_effect(1_800, 200, 0.03)
    assert power_of(1_800, 200, 0.03, effect) == pytest.approx(0.8)
    assert minimum_detectable_effect(3_600, 400, 0.03) < effect


def test_the_share_to_hold_out_is_the_smallest_sufficient_one():
    customers, base, effect = 4_000, 0.02, 0.03
    share = control_share_for(customers, base, effect)
    control = round(share * customers)
    assert power_of(customers - control, control, base, effect) >= 0.8
    assert power_of(customers - control + 1, control - 1, base, effect) < 0.8


def test_one_customer_may_be_enough_and_equal_arms_may_be_needed():
    # All of one arm respond and none of the other, in arms of one against many.
    assert power_of(100_000, 1, 0.0, 1.0) > 0.8
    assert control_share_for(100_001, 0.0, 1.0) == 1 / 100_001
    assert math.isnan(power_of(10, 10, 1.5, -0.9))
    assert power_of(10, 10, 1.0, -0.9) == pytest.approx(power_of(10, 10, 0.0, 0.9))
    # With 398 the halves reach a power of 80 % just so (the published 199), with 396 they do not.
    assert control_share_for(398, 0.1, 0.1) == 0.5
    assert math.isnan(control_share_for(396, 0.1, 0.1))


def test_too_few_customers_or_no_effect_have_no_power():
    assert math.isnan(power_of(10, 0, 0.1, 0.1))
    assert math.isnan(power_of(10, 10, 0.9, 0.2))
    assert math.isnan(minimum_detectable_effect(3, 2, 0.5))
    assert math.isnan(control_share_for(50, 0.02, 0.01))
    assert power_of(1_000, 1_000, 0.1, 0.0) == pytest.approx(0.05, abs=1e-9)
    assert power_of(10, 10, 0.0, 0.0) == 0.0
