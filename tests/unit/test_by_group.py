"""Corrections by group: known truths, a second implementation, and no change without a cause."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from statsmodels.stats.meta_analysis import combine_effects

from ml.attrition import AttritionModel
from ml.by_group import ByGroup, credibility, recalibrated
from ml.hazard import DiscreteTimeHazard
from ml.serving import TRUSTED_TYPES

SMALL, TWICE = "corporate", np.log(2)
EFFECT = np.array([0.8, -0.6, 0.4, 0.0, 0.3])


def bank(
    n: int, seed: int, share: float = 0.1, more: float = TWICE
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, kinds, true log-odds and events; the small kind has `more` log-odds than others of
    the same features."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, len(EFFECT)))
    kind = np.where(generator.random(n) < share, SMALL, "person")
    truth = -2.8 + x @ EFFECT + more * (kind == SMALL)
    return x, kind, truth, (generator.random(n) < expit(truth)).astype(int)


def grouped(weight: bool = False) -> tuple[np.ndarray, ...]:
    """Log-odds given, outcomes, weights and customers, of three rows each."""
    generator = np.random.default_rng(11)
    score = generator.normal(-2, 1, 1_500)
    shared = np.repeat(generator.normal(0, 0.7, 500), 3)
    y = (generator.random(1_500) < expit(0.4 + 1.3 * score + shared)).astype(int)
    times = np.where(y == 1, 1.0, 2.5) if weight else np.ones(1_500)
    return score, y, times, np.repeat(np.arange(500), 3)


@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("columns", [1, 2])
def test_a_recalibration_is_that_of_statsmodels(weight: bool, columns: int) -> None:
    score, y, times, customer = grouped(weight)
    design = np.column_stack([np.ones(len(y)), score + 1])[:, :columns]
    coefficients, variances = recalibrated(design, score, y, times, customer)
    model = sm.GLM(y, design, family=sm.families.Binomial(), offset=score, var_weights=times)
    other = model.fit(
        tol=1e-12,
        cov_type="cluster",
        cov_kwds={"groups": customer, "use_correction": False},
    )
    np.testing.assert_allclose(coefficients, other.params, rtol=1e-7)
    np.testing.assert_allclose(variances, other.bse**2, rtol=1e-6)


def test_the_level_of_a_group_is_its_intercept_times_its_credibility() -> None:
    _, kind, truth, y = bank(20_000, 1)
    score = truth - TWICE * (kind == SMALL)
    found = ByGroup(least_events_of_slope=10**6).fit(score, y, kind)
    for name in ("person", SMALL):
        of_kind = kind == name
        other = sm.GLM(
            y[of_kind], np.ones(of_kind.sum()), sm.families.Binomial(), offset=score[of_kind]
        ).fit(tol=1e-12)
        level, tilt, _ = found.corrections_[name]
        assert tilt == 0
        assert level == pytest.approx(found.credibility_[name][0] * other.params[0], rel=1e-6)


def test_credibility_takes_the_variance_between_groups_of_statsmodels() -> None:
    effects, variances = np.array([0.6, -0.1, 0.2, 0.9]), np.array([0.04, 0.002, 0.01, 0.2])
    between = combine_effects(effects, variances, method_re="chi2").tau2
    assert between > 0
    np.testing.assert_allclose(credibility(effects, variances), between / (between + variances))
    # Bühlmann and Straub: n / (n + k), where a variance is one over n.
    n = 1 / variances
    np.testing.assert_allclose(credibility(effects, variances), n / (n + 1 / between))


def test_groups_that_differ_by_chance_and_a_single_one_have_no_credibility() -> None:
    assert credibility(np.array([0.1, -0.1]), np.array([0.03, 0.03])).tolist() == [0, 0]
    assert credibility(np.array([3.0]), np.array([0.01])).tolist() == [0]


def test_shrunken_effects_are_nearer_the_truth_than_their_own_and_than_none() -> None:
    generator = np.random.default_rng(12)
    truth = generator.normal(0, 0.3, (2_000, 4))
    variances = np.array([0.002, 0.02, 0.05, 0.1])
    seen = generator.normal(truth, variances**0.5)
    shrunken = np.array([credibility(row, variances) * row for row in seen])
    off = ((shrunken - truth) ** 2).mean()
    assert off < 0.9 * ((seen - truth) ** 2).mean()
    assert off < 0.7 * (truth**2).mean()


def test_a_small_kind_of_twice_the_hazard_is_corrected_towards_the_truth() -> None:
    """Against the model of all, which does not see the kind, and a model of the kind alone."""
    levels, weights, off = [], [], []
    for seed in range(30):
        x, kind, _, y = bank(4_000, seed)
        learner = LogisticRegression(C=np.inf)
        held_out = cross_val_predict(learner, x, y, cv=5, method="decision_function")
        found = ByGroup(least_events_of_slope=10**6).fit(held_out, y, kind)
        level = found.corrections_.get(SMALL, np.zeros(3))[0]
        # The truth is relative to the model of all, whose level is between those of both kinds.
        persons = found.corrections_.get("person", np.zeros(3))[0]
        levels.append(level - persons)
        weights.append(found.credibility_[SMALL][0])
        later, kind_later, truth, _ = bank(4_000, 1_000 + seed)
        few = kind_later == SMALL
        pooled = learner.fit(x, y).decision_function(later)
        alone = LogisticRegression(C=np.inf).fit(x[kind == SMALL], y[kind == SMALL])
        predictions = (found.correct(pooled, kind_later), pooled, alone.decision_function(later))
        error = [(expit(one) - expit(truth))[few] ** 2 for one in predictions]
        off.append([one.mean() for one in error])
    # Level: at least the part that the credibility leaves of the truth.
    assert np.mean(levels) >= np.mean(weights) * TWICE * 0.97
    assert 0.5 < np.mean(weights) < 1
    corrected, of_all, of_itself = np.mean(off, axis=0)
    assert corrected < 0.6 * of_all
    assert corrected < 0.8 * of_itself


def test_the_slope_of_a_group_with_many_events_is_corrected_and_its_level_kept() -> None:
    generator = np.random.default_rng(13)
    kind = np.repeat(["person", SMALL], [40_000, 8_000])
    score = generator.normal(-2.5, 1, len(kind))
    flatter = np.where(kind == SMALL, 0.5, 1.0)
    y = (generator.random(len(kind)) < expit(-2.5 + flatter * (score + 2.5))).astype(int)
    found = ByGroup().fit(score, y, kind)
    tilt = found.corrections_[SMALL][1]
    assert tilt == pytest.approx(-0.5, abs=0.1)
    of_kind = kind == SMALL
    total = expit(found.correct(score, kind))[of_kind].sum()
    assert total == pytest.approx(y[of_kind].sum(), rel=0.03)
    assert found.credibility_[SMALL].min() > 0.9


def test_a_slope_that_runs_against_the_outcome_is_not_inverted() -> None:
    generator = np.random.default_rng(14)
    kind = np.repeat(["person", SMALL], [20_000, 8_000])
    score = generator.normal(-2, 1, len(kind))
    way = np.where(kind == SMALL, -1, 1)
    y = (generator.random(len(kind)) < expit(-2 + way * (score + 2))).astype(int)
    corrected = ByGroup().fit(score, y, kind).correct(np.linspace(-6, 3, 50), [SMALL] * 50)
    assert (np.diff(corrected) > 0).all()


def test_one_group_small_groups_and_unknown_ones_keep_the_model_of_all() -> None:
    _, kind, truth, y = bank(4_000, 2)
    score = truth - 1
    alone = ByGroup().fit(score, y, np.full(len(y), "person"))
    assert alone.corrections_ == {}
    np.testing.assert_array_equal(alone.correct(score, kind), score)
    few = np.where(np.arange(len(y)) < 60, "few", kind).astype(object)
    few[60:90] = None
    found = ByGroup().fit(score - np.where(kind == SMALL, 1, 0), y, few)
    assert set(found.corrections_) <= {"person", SMALL}
    new = np.array(["few", None, np.nan, "never seen"], dtype=object)
    np.testing.assert_array_equal(found.correct(score[:4], new), score[:4])
    assert (found.correct(score[:4], [SMALL] * 4) != score[:4]).all()


def test_rows_of_one_customer_are_not_as_many_customers() -> None:
    _, kind, truth, y = bank(2_000, 3)
    score = truth - TWICE * (kind == SMALL)
    once = ByGroup().fit(score, y, kind)
    four = ByGroup().fit(
        *(np.repeat(one, 4) for one in (score, y, kind)), None, np.repeat(range(2_000), 4)
    )
    assert four.corrections_.keys() == once.corrections_.keys()
    for name, correction in once.corrections_.items():
        np.testing.assert_allclose(four.corrections_[name], correction)
    assert not ByGroup(least_events=10**6).fit(score, y, kind).credibility_


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": np.ones(3)}, "expected one each for 400 rows"),
        ({"log_odds": np.full(400, np.inf)}, "expected finite numbers"),
        ({"y": np.full(400, 2)}, "expected 0 and 1"),
        ({"customer": np.array([None] + [1] * 399, dtype=object)}, "expected a known one"),
    ],
)
def test_what_cannot_be_compared_is_refused(changed: dict[str, np.ndarray], message: str) -> None:
    _, kind, truth, y = bank(400, 4)
    with pytest.raises(ValueError, match=message):
        ByGroup().fit(**{"log_odds": truth, "y": y, "group": kind, **changed})


# In the hazard.


def customers(seed: int, n: int = 6_000) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Features, months, events and kinds: firms leave twice as often as persons."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(n, 3)), columns=["a", "b", "c"])
    kind = np.where(generator.random(n) < 0.05, SMALL, "person")
    frame["customer_kind"] = kind
    hazard = expit(-4.5 + 0.8 * frame["a"].to_numpy() + TWICE * (kind == SMALL))
    comes = generator.random((n, 6)) < hazard[:, None]
    event = comes.any(axis=1)
    return frame, np.where(event, comes.argmax(axis=1) + 1, 6), event, 1 - (1 - hazard) ** 6


@cache
def models() -> tuple[DiscreteTimeHazard, DiscreteTimeHazard]:
    frame, time, event, _ = customers(1, 12_000)
    # Trees that never split off so few: the model of all does not see the kind.
    settings = {"periods": 6, "least_leaf": 2_000}
    both = (DiscreteTimeHazard(**settings), DiscreteTimeHazard(**settings, by="customer_kind"))
    return tuple(one.fit(frame, time, event) for one in both)


def test_a_hazard_by_kind_is_nearer_the_truth_of_the_small_kind() -> None:
    pooled, by_kind = models()
    frame, _, _, truth = customers(2)
    few = (frame["customer_kind"] == SMALL).to_numpy()
    levels = [one.probability(frame)[few].sum() / truth[few].sum() for one in (pooled, by_kind)]
    assert levels[0] < 0.75
    assert 0.85 < levels[1] < 1.2
    off = [((one.probability(frame) - truth) ** 2).mean() for one in (pooled, by_kind)]
    assert off[1] < off[0]


def test_a_hazard_by_kind_reads_the_kind_and_gives_it_as_a_reason() -> None:
    pooled, by_kind = models()
    frame, *_ = customers(2, 50)
    assert by_kind.columns_ == ["a", "b", "c", "customer_kind"]
    with pytest.raises(ValueError, match="customer_kind"):
        by_kind.probability(frame.drop(columns="customer_kind"))
    added, names = by_kind.contributions(frame.assign(customer_kind=SMALL))
    for_persons, _ = by_kind.contributions(frame.assign(customer_kind="person"))
    place = names.index("customer_kind")
    difference = (added - for_persons)[:, place]
    level = by_kind.by_.corrections_[SMALL][0] - by_kind.by_.corrections_["person"][0]
    learned = pooled.contributions(frame.assign(customer_kind=SMALL))[0][:, place]
    unlearned = pooled.contributions(frame.assign(customer_kind="person"))[0][:, place]
    np.testing.assert_allclose(difference, level + (learned - unlearned), atol=1e-9)


@pytest.mark.parametrize("learner", [DiscreteTimeHazard, AttritionModel])
def test_with_one_kind_a_hazard_equals_that_without_kinds(learner: type) -> None:
    frame, time, event, _ = customers(3, 1_500)
    frame["customer_kind"] = "person"
    pooled, by_kind = (
        learner(periods=6, **settings).fit(frame, time, event)
        for settings in ({}, {"by": "customer_kind"})
    )
    np.testing.assert_array_equal(by_kind.survival(frame), pooled.survival(frame))
    assert by_kind.columns_ == pooled.columns_


def test_a_hazard_without_its_column_is_not_fitted() -> None:
    frame, time, event, _ = customers(4, 200)
    with pytest.raises(ValueError, match="no_kind"):
        DiscreteTimeHazard(periods=6, by="no_kind").fit(frame, time, event)


def test_a_stored_hazard_by_kind_gives_the_same_predictions(tmp_path: Path) -> None:
    _, by_kind = models()
    path = tmp_path / "model.skops"
    skops.io.dump(by_kind, path)
    loaded = skops.io.load(path, trusted=TRUSTED_TYPES)
    frame, *_ = customers(2, 300)
    np.testing.assert_array_equal(loaded.hazard(frame), by_kind.hazard(frame))
    order = np.random.default_rng(5).permutation(len(frame))
    np.testing.assert_array_equal(
        loaded.probability(frame.iloc[order]), loaded.probability(frame)[order]
    )
    assert logit(loaded.hazard(frame)).shape == (300, 6)
