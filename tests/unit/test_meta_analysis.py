"""Pooled effects: published figures, a second implementation, known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from ml.evaluation.meta_analysis import pooled_effect, slope_on

# Thirteen trials of the BCG vaccine (Colditz and others, 1994): ill and well, vaccinated and not.
BCG = np.array(
    [
        *([4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619]),
        *([33, 5036, 47, 5761], [180, 1361, 372, 1079], [8, 2537, 10, 619]),
        *([505, 87886, 499, 87892], [29, 7470, 45, 7232], [17, 1699, 65, 1600]),
        *([186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825]),
    ],
    dtype=float,
)


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    ill, well, ill_control, well_control = BCG.T
    treated, control = ill + well, ill_control + well_control
    return (
        np.log((ill / treated) / (ill_control / control)),
        1 / ill - 1 / treated + 1 / ill_control - 1 / control,
    )


def test_trials_of_a_vaccine_are_pooled_as_published():
    # The figures of R's metafor 4: rma(yi, vi, data=dat.bcg, method="DL"), and method="FE".
    found = pooled_effect(*log_risk_ratios())
    assert found.random.value == pytest.approx(-0.7141, abs=5e-5)
    assert (found.random.low, found.random.high) == pytest.approx((-1.0644, -0.3638), abs=5e-5)
    assert found.tau_squared == pytest.approx(0.3088, abs=5e-5)
    assert found.q == pytest.approx(152.2330, abs=5e-5)
    assert found.i_squared == pytest.approx(0.9212, abs=5e-5)
    assert found.fixed.value == pytest.approx(-0.4303, abs=5e-5)
    peer = combine_effects(*log_risk_ratios(), method_re="dl", use_t=False)
    assert (found.tau_squared, found.i_squared) == pytest.approx((peer.tau2, peer.i2), rel=1e-12)
    (fixed, random, *_), homogeneity = peer.conf_int(), peer.test_homogeneity()
    assert (found.q, found.q_p_value) == pytest.approx(homogeneity[:2], rel=1e-9)
    assert (found.fixed.low, found.fixed.high) == pytest.approx(fixed, rel=1e-12)
    assert (found.random.low, found.random.high) == pytest.approx(random, rel=1e-12)


def test_one_effect_is_its_own_pool_of_unknown_heterogeneity():
    found = pooled_effect(np.array([0.3]), np.array([0.04]))
    assert found.fixed == found.random
    assert found.fixed.low == pytest.approx(0.3 - 1.959964 * 0.2, abs=1e-6)
    assert math.isnan(found.tau_squared)


def test_equal_effects_have_no_variance_between_them():
    found = pooled_effect(np.array([0.2, 0.2, 0.2]), np.array([0.01, 0.04, 0.09]))
    assert (found.tau_squared, found.i_squared) == (0, 0)
    assert found.random.value == pytest.approx(0.2)
    assert found.q_p_value == pytest.approx(1)


def test_equal_effects_have_no_heterogeneity():
    found = pooled_effect(np.array([0.25, 0.25]), np.array([0.5, 0.5]))
    assert (found.q, found.tau_squared, found.i_squared) == (0, 0, 0)


def test_half_of_the_spread_of_two_effects_is_beyond_chance():
    # Weights 1 and 1: the mean is 1, Q = 1 + 1 on one degree of freedom, tau² = (2 - 1) / (2 - 1).
    found = pooled_effect(np.array([0, 2]), np.array([1, 1]))
    assert (found.q, found.tau_squared, found.i_squared) == (2, 1, 0.5)
    assert (found.random.value, found.fixed.value) == (1, 1)


@pytest.mark.parametrize(
    ("effects", "variances"),
    [([], []), ([0.1, 0.2], [0.1]), ([0.1], [0.0]), ([math.nan], [0.1]), ([0.1], [math.inf])],
)
def test_effects_that_cannot_be_pooled_are_refused(effects, variances):
    with pytest.raises(ValueError, match="effects"):
        pooled_effect(np.array(effects), np.array(variances))


def test_the_slope_is_that_of_a_weighted_line():
    draw = np.random.default_rng(3)
    predicted, variances = draw.normal(0, 1, 10), draw.uniform(0.1, 2, 10)
    effects = 0.5 + 1.5 * predicted + draw.normal(0, np.sqrt(variances))
    found = slope_on(predicted, effects, variances)
    line, covariance = np.polyfit(predicted, effects, 1, w=1 / np.sqrt(variances), cov="unscaled")
    assert found.value == pytest.approx(line[0])
    assert found.high - found.value == pytest.approx(1.959964 * math.sqrt(covariance[0, 0]))


def test_two_effects_lie_on_their_slope():
    found = slope_on(np.array([0.01, 0.02]), np.array([0.01, 0.04]), np.array([1.0, 1.0]))
    assert found.value == pytest.approx(3)
    # The spread of the predictions is 0.01² / 2.
    assert found.high == pytest.approx(3 + 1.959964 * math.sqrt(2) / 0.01)


def test_a_slope_on_one_prediction_is_unknown():
    assert math.isnan(slope_on(np.array([1.0]), np.array([2.0]), np.array([1.0])).value)
    assert math.isnan(slope_on(np.ones(3), np.arange(3.0), np.ones(3)).value)
