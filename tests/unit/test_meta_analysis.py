"""Pooled effects: published figures, a second implementation, known truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

from ml.evaluation.meta_analysis import holm, pooled_effect, shrunken, slope_on

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


@pytest.mark.parametrize("seed", range(5))
def test_p_values_are_adjusted_as_a_second_implementation_does(seed):
    p_values = np.random.default_rng(seed).random(30) ** 4
    _, wanted, *_ = multipletests(p_values, method="holm")
    assert holm(p_values) == pytest.approx(wanted, rel=1e-12)
    assert holm(np.array([])).shape == (0,)


def test_effects_of_two_families_are_drawn_to_their_means_worked_by_hand():
    """Distances 2, 2, 0, 0 from the means 2 and 10 at variance 1: Q = 8 with 2 degrees of freedom,
    scale 2, so that tau² = (8 - 2) / 2 = 3, Z = 3/4; variance 3/4 + 1/16 x (3 + 1) / 2 = 7/8."""
    found = shrunken(np.array([0.0, 10, 4, 10]), np.ones(4), np.array(["a", "b", "a", "b"]))
    assert [one.value for one in found] == pytest.approx([0.5, 10, 3.5, 10])
    assert [one.high - one.value for one in found] == pytest.approx([1.959964 * (7 / 8) ** 0.5] * 4)
    # A family of one has no distance: nothing beyond chance is known of it.
    (alone,) = shrunken(np.array([0.3]), np.array([0.04]), np.array(["a"]))
    assert (alone.value, alone.low) == pytest.approx((0.3, 0.3 - 1.959964 * 0.2), abs=1e-6)


def test_most_of_the_luck_of_the_highest_of_many_effects_is_taken_out():
    draw = np.random.default_rng(3)
    too_high, drawn, held = [], [], []
    for _ in range(300):
        truth = 0.04 + 0.01 * draw.standard_normal(25)
        variance = 0.02**2 * draw.uniform(0.5, 2, 25)
        seen = truth + variance**0.5 * draw.standard_normal(25)
        found = shrunken(seen, variance, np.repeat(["a", "b", "c", "d", "e"], 5))
        value = np.array([one.value for one in found])
        too_high.append(seen.max() - truth[seen.argmax()])
        drawn.append(value.max() - truth[value.argmax()])
        held.append(np.mean([a.low <= b <= a.high for a, b in zip(found, truth, strict=True)]))
    assert np.mean(too_high) > 0.02
    assert abs(np.mean(drawn)) < np.mean(too_high) / 3
    # tau² is taken as known, so that intervals are a little short (Morris, 1983).
    assert np.mean(held) > 0.88
