"""Uplift metrics: equal to scikit-uplift, indifferent to the order of ties, unbiased by weights."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklift import metrics as sklift

from ml.evaluation.uplift import (
    area_under_gain,
    auuc,
    average_effect,
    gain_at,
    policy_value,
    qini_coefficient,
    qini_curve,
    uplift_at,
    uplift_compare,
    uplift_curve,
    uplift_estimate,
)

EQUAL = 1e-9
# Six contacts worked by hand, highest score first.
Y = np.array([1, 0, 1, 1, 0, 0])
W = np.array([1, 0, 1, 0, 1, 0])
SCORE = np.array([6, 5, 4, 3, 2, 1])


class Sample:
    """Randomised contacts: chances of treatment between 0.2 and 0.8, or one for all."""

    def __init__(
        self, seed: int, n: int = 800, *, ties: bool = False, treated: float | None = None
    ) -> None:
        generator = np.random.default_rng(seed)
        self.score = generator.normal(size=n)
        if ties:
            self.score = self.score.round(0)
        chance = generator.uniform(0.2, 0.8, n) if treated is None else np.full(n, treated)
        self.treatment = (generator.random(n) < chance).astype(int)
        self.probability = np.where(self.treatment == 1, chance, 1 - chance)
        rate = 0.2 + 0.15 * self.treatment * (self.score > 0)
        self.y = (generator.random(n) < rate).astype(int)

    def of(self, metric, **further) -> float:
        return metric(self.y, self.score, self.treatment, **further)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("treated", [0.5, 0.2, 0.85])
def test_curves_and_their_areas_are_those_of_scikit_uplift(ties: bool, treated: float) -> None:
    for seed in range(5):
        sample = Sample(seed, ties=ties, treated=treated)
        data = (sample.y, sample.score, sample.treatment)
        for own, other in (
            (uplift_curve, sklift.uplift_curve),
            (qini_curve, sklift.qini_curve),
        ):
            np.testing.assert_allclose(own(*data), other(*data), rtol=0, atol=EQUAL)
        assert auuc(*data) == pytest.approx(sklift.uplift_auc_score(*data), abs=EQUAL)
        assert qini_coefficient(*data) == pytest.approx(sklift.qini_auc_score(*data), abs=EQUAL)


@pytest.mark.parametrize("strategy", ["overall", "by_group"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 1.0])
def test_uplift_at_is_that_of_scikit_uplift(strategy: str, share: float) -> None:
    for seed in range(5):
        sample = Sample(seed, n=803)
        if share == 1.0:
            # scikit-uplift takes no share of 1.
            expected = average_effect(sample.y, sample.treatment)
        else:
            expected = sklift.uplift_at_k(
                sample.y, sample.score, sample.treatment, strategy=strategy, k=share
            )
        found = sample.of(uplift_at, share=share, strategy=strategy)
        assert found == pytest.approx(expected, abs=EQUAL)


def test_six_contacts_worked_by_hand() -> None:
    places, value = uplift_curve(Y, SCORE, W)
    np.testing.assert_array_equal(places, range(7))
    # Means of the arms from the top: 1 − 0, 1 − 0, 1 − 0, 1 − 1/2, 2/3 − 1/2, 2/3 − 1/3.
    np.testing.assert_allclose(value, [0, 1, 2, 3, 2, 5 / 6, 2])
    # Responses of the treated less those of the control times treated / control.
    np.testing.assert_allclose(qini_curve(Y, SCORE, W)[1], [0, 1, 1, 2, 1, 0.5, 1])
    # Trapezoids 59/6 less the triangle 6; and 6 less 3.
    assert auuc(Y, SCORE, W, normalised=False) == pytest.approx((59 / 6 - 6) / 36)
    assert qini_coefficient(Y, SCORE, W, normalised=False) == pytest.approx((6 - 3) / 36)
    assert uplift_at(Y, SCORE, W, share=0.5) == pytest.approx(1.0)
    assert policy_value(Y, SCORE, W, share=0.5) == pytest.approx(0.5)
    assert policy_value(Y, SCORE, W, threshold=3.5) == pytest.approx(0.5)
    # By the treated half's share of 1/2: (2 + 2) / 6.
    assert policy_value(Y, SCORE, W, share=0.5, estimator="ipw") == pytest.approx(4 / 6)
    # The other half: mean 0 of the treated, 1/2 of the control; not treating them gains 1/4.
    against = policy_value(Y, SCORE, W, share=0.5, against="everybody")
    assert against == pytest.approx(0.25)
    assert policy_value(Y, SCORE, W, share=0.5, cost=0.1) == pytest.approx(0.45)
    assert policy_value(Y, SCORE, W, share=0.5, against="everybody", cost=0.1) == pytest.approx(0.3)


METRICS = {
    "auuc": auuc,
    "qini": qini_coefficient,
    "uplift_at": uplift_at,
    "by_group": lambda *data: uplift_at(*data, strategy="by_group"),
    "policy": lambda *data: policy_value(*data, share=0.3),
    "ipw": lambda *data: policy_value(*data, share=0.3, estimator="ipw"),
    "everybody": lambda *data: policy_value(*data, threshold=0.2, against="everybody"),
}


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), distinct=st.integers(1, 6))
def test_the_order_of_the_rows_never_matters(name: str, seed: int, distinct: int) -> None:
    generator = np.random.default_rng(seed)
    sample = Sample(seed, n=60)
    score = generator.integers(0, distinct, 60).astype(float)
    data = (sample.y, score, sample.treatment, sample.probability)
    order = generator.permutation(60)
    found = METRICS[name](*data)
    np.testing.assert_allclose(METRICS[name](*(one[order] for one in data)), found, atol=1e-12)
    # Only the order of the scores counts, not their size (a threshold is a size).
    if name != "everybody":
        stretched = METRICS[name](sample.y, score**3 - 7, sample.treatment, sample.probability)
        np.testing.assert_allclose(stretched, found, atol=1e-12)


def test_a_top_share_within_ties_is_the_mean_over_all_their_orders() -> None:
    y = np.array([3.0, -1.0, 2.0, 5.0, 0.5, 1.0])
    score = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    treatment = np.array([1, 0, 1, 0, 1, 0])
    gains, values = [], []
    for order in permutations(range(1, 5)):
        untied = score.copy()
        untied[list(order)] = [1.4, 1.3, 1.2, 1.1]
        gains.append((gain_at(y, untied, 0.5), area_under_gain(y, untied)))
        values.append(policy_value(y, untied, treatment, share=0.5, estimator="ipw"))
    found = (gain_at(y, score, 0.5), area_under_gain(y, score))
    np.testing.assert_allclose(np.mean(gains, axis=0), found)
    assert np.ptp(gains, axis=0).min() > 0
    tied = policy_value(y, score, treatment, share=0.5, estimator="ipw")
    assert tied == pytest.approx(np.mean(values))


def test_a_constant_score_is_chance() -> None:
    sample = Sample(3)
    constant = np.zeros(len(sample.y))
    for metric in (auuc, qini_coefficient):
        assert metric(sample.y, constant, sample.treatment) == pytest.approx(0, abs=1e-12)
    effect = average_effect(sample.y, sample.treatment)
    assert uplift_at(sample.y, constant, sample.treatment) == pytest.approx(effect)
    share = policy_value(sample.y, constant, sample.treatment, share=0.25)
    assert share == pytest.approx(0.25 * effect)
    assert area_under_gain(sample.y, constant) == pytest.approx(0, abs=1e-12)
    assert gain_at(sample.y, constant, 0.2) == pytest.approx(sample.y.mean())


def test_one_probability_for_all_changes_no_figure() -> None:
    sample = Sample(5, treated=0.3)
    for name in ("auuc", "qini", "uplift_at", "by_group", "policy", "everybody"):
        data = (sample.y, sample.score, sample.treatment)
        weighted = METRICS[name](*data, sample.probability)
        assert weighted == pytest.approx(METRICS[name](*data), abs=EQUAL), name


def test_inverse_probabilities_undo_an_uneven_assignment() -> None:
    """The rich are treated more and respond more; contact changes nothing for them."""
    generator = np.random.default_rng(1)
    n = 60_000
    rich = generator.random(n) < 0.5
    chance = np.where(rich, 0.8, 0.2)
    treatment = (generator.random(n) < chance).astype(int)
    probability = np.where(treatment == 1, chance, 1 - chance)
    score = generator.random(n)
    effect = np.where(rich, 0.0, 0.1) + 0.1 * score
    y = (generator.random(n) < 0.1 + 0.4 * rich + treatment * effect).astype(int)
    top = score > 0.7
    error = 0.02
    assert uplift_at(y, score, treatment, probability) == pytest.approx(
        effect[top].mean(), abs=error
    )
    assert uplift_at(y, score, treatment) > effect[top].mean() + 5 * error
    for estimator in ("hajek", "ipw"):
        value = policy_value(y, score, treatment, probability, share=0.3, estimator=estimator)
        assert value == pytest.approx(0.3 * effect[top].mean(), abs=0.3 * error)
    # E[τ U] − E[τ] / 2 of a score uniform on (0, 1) is 0.1 / 12.
    area = auuc(y, score, treatment, probability, normalised=False)
    assert area == pytest.approx(0.1 / 12, abs=0.004)


def test_policies_against_nobody_and_everybody_differ_by_the_average_effect() -> None:
    sample = Sample(7)
    data = (sample.y, sample.score, sample.treatment, sample.probability)
    for choice in ({"share": 0.3}, {"threshold": 0.1}):
        over_nobody = policy_value(*data, **choice, estimator="ipw", cost=0.02)
        over_everybody = policy_value(
            *data, **choice, against="everybody", estimator="ipw", cost=0.02
        )
        all_of_them = policy_value(*data, share=1.0, estimator="ipw", cost=0.02)
        assert over_nobody - over_everybody == pytest.approx(all_of_them)
    assert policy_value(*data, threshold=99.0) == 0
    assert policy_value(*data, share=1.0, against="everybody") == 0


def test_area_under_gain_is_that_of_its_curve() -> None:
    generator = np.random.default_rng(4)
    y_star, score = generator.normal(size=200), generator.normal(size=200)
    curve = np.append(0, np.cumsum(y_star[np.argsort(-score)])) / 200
    area = np.trapezoid(curve, dx=1 / 200) - curve[-1] / 2
    assert area_under_gain(y_star, score) == pytest.approx(area)
    assert area_under_gain(y_star, y_star) > area
    shifted = area_under_gain(y_star + 5, score)
    assert shifted == pytest.approx(area)


def test_continuous_outcomes_have_areas_but_no_best_order() -> None:
    sample = Sample(8)
    amount = sample.y * 2.5
    for metric in (auuc, qini_coefficient):
        with pytest.raises(ValueError, match="outcomes of 0 and 1 only"):
            metric(amount, sample.score, sample.treatment)
        area = metric(amount, sample.score, sample.treatment, normalised=False)
        unit = metric(sample.y, sample.score, sample.treatment, normalised=False)
        assert area == pytest.approx(2.5 * unit)


def test_an_empty_arm_has_no_figure() -> None:
    everyone = np.ones(6, dtype=int)
    for metric in (auuc, qini_coefficient, uplift_at):
        assert np.isnan(metric(Y, SCORE, everyone))
    # The control is not among the top third.
    assert np.isnan(uplift_at(Y, SCORE, np.array([1, 1, 0, 0, 1, 0]), share=0.34))


@pytest.mark.slow
def test_two_scores_are_compared_on_the_same_draws_of_customers() -> None:
    sample = Sample(11, n=3000)
    data = (sample.treatment, sample.probability)
    metrics = {"uplift_at": uplift_at, "qini": qini_coefficient}
    chance = np.random.default_rng(0).normal(size=3000)
    compared = uplift_compare(metrics, sample.y, sample.score, chance, *data, seed=1, rounds=100)
    for name, metric in metrics.items():
        found = compared[name]
        assert found.difference.low > 0
        own = metric(sample.y, sample.score, *data)
        assert found.score.value == pytest.approx(own)
        assert found.score.low < own < found.score.high
    alone = uplift_estimate(metrics, sample.y, sample.score, *data, seed=1, rounds=100)
    assert alone == {name: found.score for name, found in compared.items()}
    same = uplift_compare(
        metrics, sample.y, sample.score, 2 * sample.score, *data, seed=1, rounds=20
    )
    assert same["qini"].difference.low == same["qini"].difference.high == 0
    # Each contact four times adds no information: only draws of whole customers show this.
    four = np.repeat(np.arange(3000), 4)
    repeated = (sample.y[four], sample.score[four], sample.treatment[four])
    by_customer = uplift_estimate(metrics, *repeated, seed=1, groups=four)["uplift_at"]
    by_row = uplift_estimate(metrics, *repeated, seed=1)["uplift_at"]
    width = alone["uplift_at"].high - alone["uplift_at"].low
    assert by_customer.high - by_customer.low == pytest.approx(width, rel=0.3)
    assert by_row.high - by_row.low < 0.7 * width


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="non-empty vectors of one length"):
        uplift_at(Y, SCORE[:5], W)
    with pytest.raises(ValueError, match="expected finite numbers"):
        auuc(Y, np.where(SCORE == 1, np.nan, SCORE), W)
    with pytest.raises(ValueError, match="1 \\(treated\\) or 0"):
        auuc(Y, SCORE, W + 1)
    with pytest.raises(ValueError, match="within \\(0, 1\\); 6 are not"):
        uplift_at(Y, SCORE, W, np.ones(6))
    with pytest.raises(ValueError, match="probabilities are invalid: expected 6"):
        uplift_at(Y, SCORE, W, np.full(5, 0.5))
    with pytest.raises(ValueError, match="share is invalid"):
        uplift_at(Y, SCORE, W, share=0)
    with pytest.raises(ValueError, match="strategy is invalid: .*got 'top'"):
        uplift_at(Y, SCORE, W, strategy="top")
    with pytest.raises(ValueError, match="either share or threshold"):
        policy_value(Y, SCORE, W)
    with pytest.raises(ValueError, match="estimator is invalid: .*got 'dr'"):
        policy_value(Y, SCORE, W, share=0.5, estimator="dr")
    with pytest.raises(ValueError, match="against is invalid: .*got 'some'"):
        policy_value(Y, SCORE, W, share=0.5, against="some")
    with pytest.raises(ValueError, match="expected finite numbers"):
        area_under_gain(np.array([np.nan, 1]), np.array([1, 2]))
    with pytest.raises(ValueError, match="non-empty vectors of one length"):
        gain_at(np.array([]), np.array([]))
