"""Metrics: figures worked by hand or published, a second implementation of each, known truths."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.metrics import mean_absolute_error as absolute_error_of_scikit_learn

from ml.evaluation import metrics
from ml.evaluation.metrics import (
    Comparison,
    Estimate,
    Metric,
    bootstrap,
    compare,
    compare_each,
    estimate,
)
from ml.evaluation.plots import (
    calibration_figure,
    coverage_figure,
    gains_figure,
    importance_figure,
)

OF_AMOUNTS = (
    metrics.gini,
    metrics.spearman,
    metrics.top_decile_capture,
    metrics.total_bias,
    metrics.mean_absolute_error,
)
OF_RESPONSES = (metrics.auc, metrics.brier, metrics.log_score)
OF_CALIBRATION = (metrics.calibration_slope, metrics.calibration_in_the_large)
ALL = (
    *OF_AMOUNTS,
    *OF_RESPONSES,
    *OF_CALIBRATION,
    metrics.expected_calibration_error,
    metrics.decile_table,
)


def amounts(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of heavy tail, some losses and some zeros, and noisy outcomes as scores."""
    generator = np.random.default_rng(seed)
    y = generator.lognormal(3, 1, n) - 15
    y[generator.random(n) < 0.2] = 0
    return y, y + generator.normal(0, 20, n)


def responses(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """0/1 outcomes and the probabilities they were drawn with."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(1, 4, n)
    return (generator.random(n) < probability).astype(float), probability


def gini_by_pairs(y, score):
    """Over all pairs: how far the order by score agrees with the order by outcome."""
    agreeing = possible = 0.0
    for one in range(len(y)):
        for other in range(len(y)):
            agreeing += np.sign(score[one] - score[other]) * (y[one] - y[other])
            possible += abs(y[one] - y[other])
    return agreeing / possible


def gini_by_curves(y, score):
    """Areas under the two gains curves, customer by customer, lowest first."""

    def between(order_by):
        curve = np.concatenate([[0], np.cumsum(y[np.argsort(order_by)]) / y.sum()])
        return 0.5 - np.trapezoid(curve, dx=1 / len(y))

    return between(score) / between(y)


def test_gini_by_hand():
    y = np.array([1, 2, 3, 4])
    # Ranks less their mean are -1.5, -0.5, 0.5, 1.5: the areas are 5 by outcome, 4 by score.
    assert metrics.gini(y, np.array([1, 2, 4, 3])) == pytest.approx(4 / 5)
    # Ties share their places: ranks 1.5, 1.5, 3.5, 3.5 give an area of 4 too.
    assert metrics.gini(y, np.array([7, 7, 9, 9])) == pytest.approx(4 / 5)
    # With losses: outcomes -2, 0, 2, 4, areas 10 and 8.
    assert metrics.gini(2 * y - 4, np.array([7, 7, 9, 9])) == pytest.approx(8 / 10)


def test_gini_is_one_for_the_outcomes_order_less_one_for_its_reverse_and_zero_for_none():
    y, _ = amounts(200, 1)
    assert metrics.gini(y, np.exp(y / 50)) == pytest.approx(1)
    assert metrics.gini(y, -y) == pytest.approx(-1)
    assert metrics.gini(y, np.full(200, 3.0)) == 0
    assert metrics.gini(np.full(200, 3.0), y) == 0


@pytest.mark.parametrize("seed", range(5))
def test_gini_is_the_agreement_over_pairs_ties_or_not(seed):
    y, score = amounts(60, seed)
    assert metrics.gini(y, score) == pytest.approx(gini_by_pairs(y, score))
    rounded = np.round(score, -1)
    assert len(np.unique(rounded)) < 30
    assert metrics.gini(y, rounded) == pytest.approx(gini_by_pairs(y, rounded))


def test_gini_is_the_ratio_of_areas_between_the_gains_curves():
    y, score = amounts(500, 2)
    assert y.sum() > 0
    assert metrics.gini(y, score) == pytest.approx(gini_by_curves(y, score))


@pytest.mark.parametrize("digits", [6, 1])
def test_gini_of_responses_is_twice_the_auc_less_one(digits):
    y, probability = responses(400, 3)
    score = np.round(probability, digits)
    assert metrics.gini(y, score) == pytest.approx(2 * roc_auc_score(y, score) - 1)


def test_spearman_of_the_textbooks_ten():
    """Hours of television against IQ: rho = -29/165."""
    iq = np.array([106, 100, 86, 101, 99, 103, 97, 113, 112, 110])
    hours = np.array([7, 27, 2, 50, 28, 29, 20, 12, 6, 17])
    assert metrics.spearman(iq, hours) == pytest.approx(-29 / 165)


@pytest.mark.parametrize("digits", [6, -1])
def test_spearman_is_scipys(digits):
    y, score = amounts(300, 4)
    score = np.round(score, digits)
    assert metrics.spearman(y, score) == pytest.approx(stats.spearmanr(y, score).statistic)


def test_spearman_of_a_constant_is_zero():
    assert metrics.spearman(np.arange(5.0), np.ones(5)) == 0
    assert metrics.spearman(np.ones(5), np.arange(5.0)) == 0


def test_top_decile_capture_by_hand():
    # Twenty customers bring 100 in all; the two with the highest scores bring 30 and 20.
    y = np.array([30, 20, 25, 10] + [1] * 15 + [0])
    score = np.arange(20, 0, -1)
    assert metrics.top_decile_capture(y, score) == pytest.approx(0.5)
    assert metrics.top_decile_capture(y, -score) == pytest.approx(0.01)


def test_members_tied_at_the_edge_of_the_tenth_count_with_their_mean():
    # One is above the edge and brings 40; four are tied for the second place: 30, 10, 0, 0.
    y = np.array([40, 30, 10, 0, 0] + [1] * 15)
    score = np.array([9, 5, 5, 5, 5] + [1] * 15)
    assert metrics.top_decile_capture(y, score) == pytest.approx((40 + 10) / 95)
    # All tied: two of twenty bring what two bring on average.
    assert metrics.top_decile_capture(y, np.zeros(20)) == pytest.approx(0.1)


def test_the_tenth_is_rounded_up():
    y = np.ones(11)
    assert metrics.top_decile_capture(y, np.arange(11)) == pytest.approx(2 / 11)
    assert metrics.top_decile_capture(np.array([4, 1]), np.array([2, 1])) == pytest.approx(0.8)


def test_top_decile_capture_exceeds_one_where_others_bring_losses_and_needs_a_total():
    score = np.arange(10)
    assert metrics.top_decile_capture(np.array([-5.0] + [0] * 8 + [15]), score) == pytest.approx(
        1.5
    )
    assert math.isnan(metrics.top_decile_capture(np.array([-15.0] + [0] * 8 + [15]), score))
    assert math.isnan(metrics.top_decile_capture(np.array([-25.0] + [0] * 8 + [15]), score))


def test_total_bias_by_hand():
    assert metrics.total_bias(np.array([40, 60]), np.array([80, 30])) == pytest.approx(0.1)
    assert metrics.total_bias(np.array([40, 60]), np.array([0, 75])) == pytest.approx(-0.25)
    assert math.isnan(metrics.total_bias(np.array([-1, 1]), np.array([1, 1])))


def test_mean_absolute_error_by_hand_and_by_scikit_learn():
    assert metrics.mean_absolute_error(np.array([1, -2, 3]), np.array([4, -2, 1])) == pytest.approx(
        5 / 3
    )
    y, score = amounts(300, 5)
    assert metrics.mean_absolute_error(y, score) == pytest.approx(
        absolute_error_of_scikit_learn(y, score)
    )


def test_the_decile_table_by_hand():
    # Scores 19 … 0 and outcomes ten times as large: the lowest tenth has the scores 0 and 1.
    score = np.arange(19, -1, -1)
    table = metrics.decile_table(10 * score, score)
    assert list(table.columns) == ["decile", "customers", "predicted", "observed"]
    assert table["decile"].tolist() == list(range(1, 11))
    assert table["customers"].tolist() == [2] * 10
    assert table["predicted"].tolist() == [0.5 + 2 * number for number in range(10)]
    assert table["observed"].tolist() == [5.0 + 20 * number for number in range(10)]


@pytest.mark.parametrize("n", [10, 23, 99, 104])
def test_tenths_are_of_like_size_in_order_and_add_up(n):
    y, score = amounts(n, 6)
    table = metrics.decile_table(y, score)
    assert table["customers"].sum() == n
    assert table["customers"].max() - table["customers"].min() <= 1
    assert table["predicted"].is_monotonic_increasing
    assert table["customers"] @ table["predicted"] == pytest.approx(score.sum())
    assert table["customers"] @ table["observed"] == pytest.approx(y.sum())


def test_expected_calibration_error_by_hand():
    probability = np.array([0.1, 0.3, 0.6, 0.8])
    # Two bins: |0.5 - 0.2| and |0.5 - 0.7|, half the customers each.
    assert metrics.expected_calibration_error(np.array([0, 1, 0, 1]), probability, 2) == (
        pytest.approx(0.25)
    )
    # One bin: |0.5 - 0.45|; more bins than customers: each is its own.
    assert metrics.expected_calibration_error(np.array([0, 1, 0, 1]), probability, 1) == (
        pytest.approx(0.05)
    )
    assert metrics.expected_calibration_error(np.array([0, 1, 0, 1]), probability, 9) == (
        pytest.approx((0.1 + 0.7 + 0.6 + 0.2) / 4)
    )


@pytest.mark.parametrize("n", [100, 257])
def test_expected_calibration_error_is_that_of_a_plain_loop(n):
    y, probability = responses(n, 7)
    rows = sorted(range(n), key=lambda row: probability[row])
    # The first n mod 10 bins have one customer more.
    sizes = [n // 10 + (number < n % 10) for number in range(10)]
    error, start = 0.0, 0
    for size in sizes:
        members = rows[start : start + size]
        start += size
        rate = sum(y[row] for row in members) / size
        predicted = sum(probability[row] for row in members) / size
        error += size / n * abs(rate - predicted)
    assert start == n
    assert metrics.expected_calibration_error(y, probability) == pytest.approx(error)


def test_true_probabilities_are_calibrated_up_to_sampling_and_shifted_ones_are_not():
    y, probability = responses(20_000, 8)
    # A bin's rate has a standard error below sqrt(0.25 / 2000) = 0.0112.
    assert metrics.expected_calibration_error(y, probability) < 0.0112
    assert metrics.expected_calibration_error(y, probability / 2 + 0.3) > 0.1


def test_brier_and_log_score_by_hand_and_by_their_definition():
    y, probability = np.array([1, 0, 1]), np.array([0.8, 0.4, 0.5])
    assert metrics.brier(y, probability) == pytest.approx((0.04 + 0.16 + 0.25) / 3)
    assert metrics.log_score(y, probability) == pytest.approx(-math.log(0.8 * 0.6 * 0.5) / 3)
    y, probability = responses(300, 9)
    assert metrics.brier(y, probability) == pytest.approx(((y - probability) ** 2).mean())
    assert metrics.brier(y, probability) == pytest.approx(brier_score_loss(y, probability))
    likelihood = np.where(y == 1, probability, 1 - probability)
    assert metrics.log_score(y, probability) == pytest.approx(-np.log(likelihood).mean())
    assert metrics.log_score(y, probability) == pytest.approx(log_loss(y, probability))


@pytest.mark.parametrize("outcome", [0, 1])
def test_scores_of_probabilities_need_no_responder_and_auc_without_one_is_nan(outcome):
    y, probability = np.full(4, outcome), np.array([0.2, 0.2, 0.4, 0.4])
    far = abs(outcome - probability)
    assert metrics.brier(y, probability) == pytest.approx((far**2).mean())
    assert metrics.log_score(y, probability) == pytest.approx(-np.log(1 - far).mean())
    assert math.isnan(metrics.auc(y, probability))


def test_a_certain_and_wrong_probability_has_a_large_but_finite_log_score():
    y, probability = np.array([0, 1]), np.array([1.0, 0.0])
    assert metrics.brier(y, probability) == 1
    assert 20 < metrics.log_score(y, probability) < math.inf


def test_auc_of_the_published_tomography_ratings():
    """Hanley and McNeil (1982), table I: 58 normal and 51 abnormal patients, W = 0.893."""
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    rating = np.repeat(np.tile(np.arange(1, 6), 2), normal + abnormal)
    y = np.repeat([0, 1], [sum(normal), sum(abnormal)])
    assert metrics.auc(y, rating) == pytest.approx(0.893, abs=0.0005)


def test_auc_is_the_share_of_pairs_in_order():
    y, probability = responses(200, 10)
    score = np.round(probability, 1)
    won = score[y == 1][:, None] - score[y == 0][None, :]
    assert metrics.auc(y, score) == pytest.approx(((won > 0) + 0.5 * (won == 0)).mean())


@pytest.mark.parametrize("metric", [*OF_AMOUNTS, *OF_RESPONSES], ids=lambda metric: metric.__name__)
def test_the_order_of_the_rows_does_not_matter_even_where_scores_are_tied(metric):
    y, score = amounts(237, 11) if metric in OF_AMOUNTS else responses(237, 11)
    score = np.round(score, -1 if metric in OF_AMOUNTS else 1)
    assert len(np.unique(score)) < 30
    generator = np.random.default_rng(12)
    orders = [np.argsort(y), np.argsort(-y), *(generator.permutation(237) for _ in range(5))]
    for order in orders:
        assert metric(y[order], score[order]) == pytest.approx(metric(y, score))


def test_tenths_and_bins_of_distinct_scores_do_not_depend_on_the_order_of_the_rows():
    y, probability = responses(237, 13)
    order = np.argsort(y)
    assert metrics.expected_calibration_error(y[order], probability[order]) == pytest.approx(
        metrics.expected_calibration_error(y, probability)
    )
    one, other = (
        metrics.decile_table(y[rows], probability[rows]).to_numpy()
        for rows in (order, np.arange(237))
    )
    assert one == pytest.approx(other)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize(
    ("y", "score", "words"),
    [
        ([0, 1, 1], [0.1, 0.2], r"\(3,\) and \(2,\)"),
        ([], [], "non-empty"),
        ([[0, 1], [1, 0]], [[0.1, 0.2], [0.3, 0.4]], "vectors"),
        ([0, 1, np.nan], [0.1, 0.2, 0.3], "finite"),
        ([0, 1, 1], [0.1, np.nan, 0.3], "finite"),
        ([0, 1, 1], [0.1, np.inf, 0.3], "finite"),
    ],
    ids=["lengths", "empty", "matrices", "unknown outcome", "unknown score", "infinite score"],
)
def test_vectors_that_do_not_match_or_are_not_finite_are_refused(metric, y, score, words):
    with pytest.raises(ValueError, match=words):
        metric(np.array(y), np.array(score))


def compared(
    metric: Metric, y: np.ndarray, score: np.ndarray, other: np.ndarray | None = None, **settings
) -> Comparison:
    """One metric; beside a score of nothing where no other is given."""
    beside = np.zeros(len(y)) if other is None else other
    return compare({"metric": metric}, y, score, beside, **settings)["metric"]


def covers_at_about(level: float, hits: list[bool]) -> bool:
    """Whether a share of hits is one that the level gives in 998 of 1000 series."""
    low, high = stats.binom.interval(0.998, len(hits), level)
    return bool(low <= sum(hits) <= high)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_cover_a_known_mean_error_at_their_level(level):
    hits = []
    for seed in range(120):
        error = np.random.default_rng(seed).normal(size=300)
        found = compared(
            metrics.mean_absolute_error, np.zeros(300), error, seed=seed + 1000, level=level
        ).score
        assert found.value == pytest.approx(np.abs(error).mean())
        hits.append(found.low <= math.sqrt(2 / math.pi) <= found.high)
    assert covers_at_about(level, hits)


@pytest.mark.slow
def test_intervals_cover_a_known_gini_at_their_level():
    """Two normals one apart have an AUC of Phi(1 / sqrt 2)."""
    truth = 2 * stats.norm.cdf(1 / math.sqrt(2)) - 1
    hits = []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        y = (generator.random(200) < 0.4).astype(float)
        found = compared(metrics.gini, y, generator.normal(y), seed=seed + 1000, rounds=80).score
        hits.append(found.low <= truth <= found.high)
    assert covers_at_about(0.9, hits)


@pytest.mark.slow
def test_the_paired_difference_covers_the_true_one_at_its_level_and_pairing_narrows_it():
    """Errors of spread 1 and 1.2 that are nine tenths the same differ by 0.2 sqrt(2 / pi)."""
    truth = -0.2 * math.sqrt(2 / math.pi)
    hits = []
    for seed in range(120):
        generator = np.random.default_rng(seed)
        common, own, others = generator.normal(size=(3, 300))
        share = math.sqrt(1 - 0.9**2)
        found = compared(
            metrics.mean_absolute_error,
            np.zeros(300),
            0.9 * common + share * own,
            1.2 * (0.9 * common + share * others),
            seed=seed + 1000,
        )
        assert found.difference.value == pytest.approx(found.score.value - found.other.value)
        hits.append(found.difference.low <= truth <= found.difference.high)
        unpaired = math.hypot(width(found.score), width(found.other))
        assert width(found.difference) < unpaired
    assert covers_at_about(0.9, hits)


def width(estimate: Estimate) -> float:
    return estimate.high - estimate.low


def test_all_metrics_see_the_same_draws_for_a_seed_whichever_are_asked():
    y, score = amounts(200, 14)
    other = score[::-1]
    asked = {"gini": metrics.gini, "error": metrics.mean_absolute_error}
    both = compare(asked, y, score, other, seed=1)
    assert list(both) == ["gini", "error"]
    for name, metric in asked.items():
        assert compared(metric, y, score, other, seed=1) == both[name]
        assert compared(metric, y, score, other, seed=2) != both[name]
        assert both[name].score.value == metric(y, score)
        assert both[name].other.value == metric(y, other)


def test_a_higher_level_gives_a_wider_interval_around_the_same_value():
    y, score = amounts(200, 14)
    found = compared(metrics.gini, y, score, seed=1).score
    wider = compared(metrics.gini, y, score, seed=1, level=0.99).score
    assert wider.low < found.low < found.value == wider.value < found.high < wider.high


def test_a_draw_without_responders_is_left_out_of_the_interval():
    y, score = np.array([1.0, 0, 0, 0, 0]), np.array([0.3, 0.1, 0.2, 0.4, 0.5])
    found = compared(metrics.auc, y, score, seed=1).score
    assert found.value == pytest.approx(0.5)
    assert 0 <= found.low < found.high <= 1


def test_a_difference_is_zero_for_equal_scores_and_changes_sign_when_swapped():
    y, score = amounts(200, 15)
    other = amounts(200, 16)[0] + y
    assert compared(metrics.gini, y, score, score, seed=1).difference == Estimate(0, 0, 0)
    there = compared(metrics.gini, y, score, other, seed=1)
    back = compared(metrics.gini, y, other, score, seed=1)
    assert (there.score, there.other) == (back.other, back.score)
    assert (back.difference.value, back.difference.low, back.difference.high) == pytest.approx(
        (-there.difference.value, -there.difference.high, -there.difference.low)
    )


def test_a_comparison_needs_both_scores_of_all_customers():
    with pytest.raises(ValueError, match=r"\(4,\) and \(3,\)"):
        compared(metrics.gini, np.arange(4), np.arange(4), np.arange(3), seed=1)
    with pytest.raises(ValueError, match="finite"):
        compared(metrics.gini, np.arange(2), np.arange(2), np.array([1, np.nan]), seed=1)


def test_the_calibration_picture_shows_the_decile_table():
    y, score = amounts(200, 17)
    (axes,) = calibration_figure(y, score, "CZK").axes
    table = metrics.decile_table(y, score)
    diagonal, points = axes.lines
    assert points.get_xydata() == pytest.approx(table[["predicted", "observed"]].to_numpy())
    assert np.ptp(diagonal.get_xydata(), axis=1).tolist() == [0, 0]
    assert "CZK" in axes.get_xlabel() and "CZK" in axes.get_ylabel()


def test_the_gains_picture_shows_all_shares_and_the_best_possible_curve():
    y = np.array([50.0, 0, 30, 20])
    (axes,) = gains_figure(y, {"model": np.array([3, 1, 4, 2])}).axes
    curves = {line.get_label(): line.get_xydata() for line in axes.lines}
    share = [0, 0.25, 0.5, 0.75, 1]
    assert curves["model"] == pytest.approx(np.column_stack([share, [0, 0.3, 0.8, 1, 1]]))
    assert curves["perfect"] == pytest.approx(np.column_stack([share, [0, 0.5, 0.8, 1, 1]]))


@pytest.mark.parametrize("seed", range(5))
def test_tied_probabilities_are_calibrated_in_any_order_of_the_rows(seed):
    y = np.random.default_rng(seed).permutation(np.repeat([0.0, 1.0], 50))
    probability = np.full(100, 0.5)
    assert metrics.expected_calibration_error(y, probability) == pytest.approx(0, abs=1e-12)
    observed = metrics.decile_table(y, probability)["observed"].tolist()
    assert observed == pytest.approx([0.5] * 10)


def test_coverage_by_hand_counts_the_ends_and_may_be_open():
    y, low, high = np.array([1, 2, 3, 4]), np.array([1, 0, 4, -np.inf]), np.array([2, 2, 9, 0])
    # The first lies at its low end, the second at its high end, the others outside.
    assert metrics.coverage(y, low, high) == 0.5
    assert metrics.coverage(y, np.full(4, -np.inf), np.full(4, np.inf)) == 1


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ([0, 0], [1, 1, 1], r"\(3,\), \(2,\) and \(3,\)"),
        ([0, 0, 2], [1, 1, 1], "up to the high ends"),
        ([0, 0, np.nan], [1, 1, 1], "known low ends"),
    ],
)
def test_invalid_intervals_are_refused(low, high, words):
    with pytest.raises(ValueError, match=words):
        metrics.coverage(np.zeros(3), np.array(low), np.array(high))


def test_coverage_by_decile_by_hand():
    # Two customers a tenth, all predicted within one; the last tenth misses one, the first both.
    predicted = np.arange(20.0)
    y = predicted.copy()
    y[[0, 1, 19]] += 5
    table = metrics.coverage_by_decile(y, predicted, predicted - 1, predicted + 1)
    assert list(table.columns) == ["decile", "customers", "predicted", "coverage"]
    assert table["coverage"].tolist() == [0, *[1] * 8, 0.5]
    assert table["customers"].tolist() == [2] * 10
    assert table["predicted"].tolist() == [0.5 + 2 * number for number in range(10)]
    assert table["customers"] @ table["coverage"] / 20 == pytest.approx(
        metrics.coverage(y, predicted - 1, predicted + 1)
    )


@pytest.mark.slow
def test_the_coverages_own_interval_covers_the_level_that_was_asked_for():
    hits = []
    half = stats.norm.ppf(0.9)
    for seed in range(100):
        y = np.random.default_rng(seed).normal(size=300)
        ends = np.full(300, half)
        found = metrics.coverage_estimate(y, -ends, ends, seed + 1000)
        assert found.value == metrics.coverage(y, -ends, ends)
        hits.append(found.low <= 0.8 <= found.high)
    assert covers_at_about(0.9, hits)


def test_calibration_is_that_of_an_unpenalised_logistic_regression():
    y, probability = responses(2000, 20)
    score = logit(probability)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(score[:, None], y)
    assert metrics.calibration_slope(y, probability) == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
    level = metrics.calibration_in_the_large(y, probability)
    # The likelihood's equation of the intercept: as many responses as predicted.
    assert expit(score + level).sum() == pytest.approx(y.sum())


def test_true_probabilities_have_slope_one_and_level_zero_and_twisted_ones_the_twist():
    y, probability = responses(20_000, 21)
    slope = metrics.calibration_slope(y, probability)
    level = metrics.calibration_in_the_large(y, probability)
    # Standard errors are near 0.02: the information of 20,000 responses at a rate of a fifth.
    assert slope == pytest.approx(1, abs=0.08) and level == pytest.approx(0, abs=0.08)
    twisted = expit(2 * logit(probability) + 0.7)
    assert metrics.calibration_slope(y, twisted) == pytest.approx(slope / 2, rel=1e-6)
    shifted = expit(logit(probability) + 0.7)
    assert metrics.calibration_slope(y, shifted) == pytest.approx(slope, rel=1e-6)
    assert metrics.calibration_in_the_large(y, shifted) == pytest.approx(level - 0.7, abs=1e-6)


def test_calibration_by_hand_where_two_groups_are_given_one_rate_each():
    # Rates of 1/4 and 3/4 where 1/10 and 9/10 are predicted: log 3 over log 9 is a half.
    probability, y = np.repeat([0.1, 0.9], 4), np.array([1, 0, 0, 0, 1, 1, 1, 0])
    assert metrics.calibration_slope(y, probability) == pytest.approx(0.5)
    assert metrics.calibration_in_the_large(y, probability) == pytest.approx(0, abs=1e-9)
    assert metrics.calibration_in_the_large(y, np.full(8, 0.2)) == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("y", "probability"),
    [
        ([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]),
        ([0, 1, 0, 1], [0.2, 0.2, 0.2, 0.2]),
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]),
        ([0, 0, 1, 1], [0.1, 0.2, 0.2, 0.4]),
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]),
    ],
    ids=["one outcome", "one probability", "separated", "separated but for a tie", "turned round"],
)
def test_a_slope_without_a_finite_maximum_is_undefined(y, probability):
    assert math.isnan(metrics.calibration_slope(np.array(y), np.array(probability)))


def test_a_slope_is_found_where_one_wrong_outcome_keeps_it_finite_and_certainties_are_wrong():
    y = np.repeat([0.0, 1.0], 50)
    probability = np.linspace(0.001, 0.999, 100)
    y[[0, 99]] = 1, 0
    score = logit(probability)
    slope = metrics.calibration_slope(y, probability)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(score[:, None], y)
    assert slope == pytest.approx(fitted.coef_[0, 0], rel=1e-3)
    assert math.isfinite(metrics.calibration_slope(y, np.round(probability)))
    assert math.isfinite(metrics.calibration_in_the_large(y, np.round(probability)))


def test_without_groups_the_draws_are_those_of_a_plain_loop():
    """Kept evaluations stay comparable: a round's draw is that of its number."""
    y, score = amounts(150, 22)
    samples = []
    for number in range(200):
        rows = np.random.default_rng([5, number]).integers(0, 150, 150)
        samples.append(metrics.gini(y[rows], score[rows]))
    low, high = np.quantile(samples, [0.05, 0.95])
    found = compared(metrics.gini, y, score, seed=5).score
    assert (found.low, found.high) == (low, high)


def test_whole_groups_are_drawn_as_many_as_there_are():
    groups = np.random.default_rng(23).permutation(np.repeat(list("abcde"), [16, 12, 6, 4, 2]))
    times = bootstrap(lambda rows: np.bincount(rows, minlength=40), 40, seed=1, groups=groups)
    drawn = []
    for sample in times:
        by_group = [set(sample[groups == group]) for group in "abcde"]
        assert all(len(one) == 1 for one in by_group)
        drawn.append([one.pop() for one in by_group])
    assert (np.sum(drawn, axis=1) == 5).all()
    # Each group is expected once a round; over 200 rounds the mean's standard error is 0.063.
    assert np.mean(drawn, axis=0) == pytest.approx(np.ones(5), abs=0.25)


def test_groups_of_one_are_no_groups_and_names_of_groups_do_not_matter():
    y, score = amounts(200, 24)
    asked = {"gini": metrics.gini, "error": metrics.mean_absolute_error}
    other = score[::-1]
    names = np.random.default_rng(1).permutation(200).astype(str)
    assert compare(asked, y, score, other, seed=1, groups=names) == compare(
        asked, y, score, other, seed=1
    )
    pairs = np.arange(200) // 2
    assert compare(asked, y, score, other, seed=1, groups=pairs) == compare(
        asked, y, score, other, seed=1, groups=[f"customer {7 - pair}" for pair in pairs]
    )


@pytest.mark.parametrize("copies", [2, 9])
def test_copies_of_customers_add_no_precision_unless_their_groups_are_hidden(copies):
    error = np.random.default_rng(25).normal(size=150)
    repeated, customer = np.tile(error, copies), np.tile(np.arange(150), copies)

    def found(values, groups=None):
        asked = {"error": metrics.mean_absolute_error}
        return estimate(asked, np.zeros(len(values)), values, seed=1, groups=groups, rounds=1500)[
            "error"
        ]

    single, clustered = found(error), found(repeated, customer)
    assert (clustered.value, clustered.low, clustered.high) == pytest.approx(
        (single.value, single.low, single.high)
    )
    # The spread of an end of 1500 rounds is 5 % of the width.
    assert width(clustered) / width(found(repeated)) == pytest.approx(math.sqrt(copies), rel=0.12)


@pytest.mark.slow
def test_intervals_of_clustered_customers_cover_where_plain_ones_do_not():
    """Errors of a customer share four fifths of their variance over four cut-offs."""
    clustered, plain = [], []
    for seed in range(100):
        generator = np.random.default_rng(seed)
        own = np.repeat(generator.normal(size=100), 4)
        error = math.sqrt(0.8) * own + math.sqrt(0.2) * generator.normal(size=400)
        customer = np.repeat(np.arange(100), 4)
        for groups, hits in ((customer, clustered), (None, plain)):
            found = estimate(
                {"error": metrics.mean_absolute_error},
                np.zeros(400),
                error,
                seed=seed + 1000,
                groups=groups,
                rounds=100,
            )["error"]
            hits.append(found.low <= math.sqrt(2 / math.pi) <= found.high)
    assert covers_at_about(0.9, clustered)
    assert not covers_at_about(0.9, plain)


def test_an_estimate_is_the_score_of_a_comparison():
    y, score = amounts(200, 26)
    asked = {"gini": metrics.gini, "capture": metrics.top_decile_capture}
    for groups in (None, np.arange(200) // 3):
        beside = compare(asked, y, score, score[::-1], seed=4, groups=groups)
        assert estimate(asked, y, score, seed=4, groups=groups) == {
            name: one.score for name, one in beside.items()
        }


def test_a_metric_that_no_draw_defines_has_no_interval():
    found = estimate({"auc": metrics.auc}, np.zeros(5), np.arange(5), seed=1)["auc"]
    assert all(math.isnan(figure) for figure in (found.value, found.low, found.high))


@pytest.mark.parametrize("groups", [[1, 1], [[1], [2], [3]], [1, None, 2]])
def test_groups_that_are_not_one_known_for_each_row_are_refused(groups):
    with pytest.raises(ValueError, match="for each of 3 rows"):
        estimate({"gini": metrics.gini}, np.arange(3), np.arange(3), seed=1, groups=groups)


def test_the_coverage_picture_shows_the_table_and_the_nominal_level():
    table = pd.DataFrame({"decile": range(1, 11), "coverage": np.linspace(0.95, 0.5, 10)})
    (axes,) = coverage_figure(table, 0.8).axes
    asked, points = axes.lines
    assert set(asked.get_ydata()) == {0.8}
    assert points.get_xydata() == pytest.approx(table.to_numpy())
    low, high = axes.get_ylim()
    assert 0 <= low < 0.5 and high > 1


def test_the_importance_picture_shows_the_greatest_first_from_the_top():
    (axes,) = importance_figure(["a", "b", "c", "b"], np.array([0.1, -0.2, 0.5, 0.3]), top=3).axes
    bars = {bar.get_y() + bar.get_height() / 2: bar.get_width() for bar in axes.patches}
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["a", "b", "c"]
    assert [bars[place] for place in sorted(bars)] == [0.1, 0.3, 0.5]
    with pytest.raises(ValueError, match="expected 2 values"):
        importance_figure(["a", "b"], np.ones(3))


@pytest.mark.parametrize("metric", [metrics.gini, metrics.spearman, metrics.auc])
@pytest.mark.parametrize("grouped", [False, True])
def test_ranking_by_counting_gives_the_same_as_sorting_each_draw(
    metric: Metric, grouped: bool
) -> None:
    random = np.random.default_rng(5)
    score, other = random.normal(size=400), random.integers(0, 6, 400).astype(float)
    y = (score + random.normal(size=400) > 1).astype(float)
    if metric is not metrics.auc:
        y = y * np.round(random.normal(size=400), 1)
    groups = random.integers(0, 150, 400) if grouped else None
    # Wrapped, a metric is not known as one of ranks: it sorts.
    both = {"counted": metric, "sorted": lambda outcomes, scores: metric(outcomes, scores)}

    compared = compare(both, y, score, other, seed=7, groups=groups, rounds=25)
    estimated = estimate(both, y, other, seed=7, groups=groups, rounds=25)

    assert compared["counted"] == compared["sorted"]
    assert estimated["counted"] == estimated["sorted"] == compared["counted"].other


def test_comparing_with_several_others_equals_comparing_with_each_alone():
    generator = np.random.default_rng(5)
    y = (generator.random(300) < 0.3).astype(float)
    score, other = generator.random(300), generator.random(300)
    groups = generator.integers(0, 100, 300)
    calls: list[int] = []

    def counted(outcomes: np.ndarray, predicted: np.ndarray) -> float:
        calls.append(1)
        return metrics.brier(outcomes, predicted)

    others = {"other": other, "the same": score.copy(), "again": other.copy()}
    chosen: dict[str, Metric] = {"auc": metrics.auc, "brier": counted}
    together = compare_each(chosen, y, score, others, seed=3, groups=groups, rounds=20)
    # Of two different predictions, in each draw and once on all rows.
    assert len(calls) == 2 * 21
    for name, one in others.items():
        alone = compare(chosen, y, score, one, seed=3, groups=groups, rounds=20)
        assert together[name] == alone
    assert together["the same"]["auc"].difference == Estimate(0.0, 0.0, 0.0)
