"""Paths through trees: worked by hand, by recursion, and adding up to the prediction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_limits

from ml.tree_paths import ROWS, path_contributions, raw_of_bins

COLUMNS, USELESS = 6, 5
SETTINGS: dict[str, Any] = {
    "max_iter": 20,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 5,
    "l2_regularization": 2.0,
    "early_stopping": False,
    "random_state": 0,
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def matrix(n: int, seed: int) -> np.ndarray:
    """Numbers of which some are missing, and one column that is the same for every row."""
    generator = np.random.default_rng(seed)
    found = np.round(generator.normal(size=(n, COLUMNS)), 1)
    found[generator.random(found.shape) < 0.15] = np.nan
    found[:, USELESS] = 1
    return found


def outcome(x: np.ndarray) -> np.ndarray:
    """Interactions, and a column of which only the absence matters."""
    filled = np.nan_to_num(x)
    return 3 * filled[:, 0] * filled[:, 1] + filled[:, 2] + 4 * np.isnan(x[:, 3]) + 10


@pytest.fixture(scope="module")
def regressor() -> HistGradientBoostingRegressor:
    x = matrix(600, seed=1)
    weight = np.random.default_rng(2).lognormal(size=600)
    return HistGradientBoostingRegressor(**SETTINGS).fit(x, outcome(x), sample_weight=weight)


@pytest.fixture(scope="module")
def classifier() -> HistGradientBoostingClassifier:
    x = matrix(600, seed=3)
    return HistGradientBoostingClassifier(**SETTINGS).fit(x, outcome(x) > 11)


# By hand.


def test_a_stump_worked_by_hand():
    """Weighted mean 4. The leaves, shrunk by a half, are −2 (three rows) and 2 (one), whose mean by
    count is −1: 3 is expected, and the split moves that to 2 or to 6."""
    model = HistGradientBoostingRegressor(
        max_iter=1, max_leaf_nodes=2, min_samples_leaf=1, learning_rate=0.5
    ).fit([[0], [0], [0], [1]], [0, 0, 0, 8], sample_weight=[1, 1, 1, 3])
    bias, contributions = path_contributions(model, np.array([[0.0], [1.0]]))
    assert bias == pytest.approx(3)
    assert contributions == pytest.approx(np.array([[-1.0], [3.0]]))


def test_two_splits_worked_by_hand():
    """Mean 4. The first column moves it to 0 or 8, the second the latter to 4 or 12."""
    x = np.array([[0, 0], [0, 1], [0, 0], [0, 1], [1, 0], [1, 0], [1, 1], [1, 1]], dtype=float)
    model = HistGradientBoostingRegressor(
        max_iter=1, max_leaf_nodes=3, min_samples_leaf=2, learning_rate=1.0
    ).fit(x, [0, 0, 0, 0, 4, 4, 12, 12])
    bias, contributions = path_contributions(model, x[[0, 1, 4, 6]])
    assert bias == pytest.approx(4)
    assert contributions == pytest.approx(np.array([[-4, 0], [-4, 0], [4, -4], [4, 4]]))


def test_a_missing_value_follows_the_learned_branch_of_the_split():
    x = np.array([[0.0], [0.0], [1.0], [1.0], [np.nan], [np.nan]])
    settings = {"max_iter": 1, "max_leaf_nodes": 2, "min_samples_leaf": 2, "learning_rate": 1.0}
    for with_missing in (0, 1):
        y = np.where(np.isnan(x[:, 0]), with_missing, x[:, 0])
        model = HistGradientBoostingRegressor(**settings).fit(x, y)
        _, contributions = path_contributions(model, x)
        assert contributions[4, 0] == contributions[2 * with_missing, 0]
        assert contributions[4, 0] != contributions[2 - 2 * with_missing, 0]


# By recursion.


def expected_below(nodes: np.ndarray, at: int) -> float:
    node = nodes[at]
    if node["is_leaf"]:
        return float(node["value"])
    sides = (int(node["left"]), int(node["right"]))
    counts = [int(nodes[side]["count"]) for side in sides]
    return sum(
        count * expected_below(nodes, side) for side, count in zip(sides, counts, strict=True)
    ) / sum(counts)


def walked(model: Any, row: np.ndarray) -> list[float]:
    added = [0.0] * len(row)
    for (tree,) in model._predictors:
        at = 0
        while not tree.nodes[at]["is_leaf"]:
            node = tree.nodes[at]
            value = row[node["feature_idx"]]
            goes_left = (
                node["missing_go_to_left"] if np.isnan(value) else value <= node["num_threshold"]
            )
            below = int(node["left"] if goes_left else node["right"])
            added[node["feature_idx"]] += expected_below(tree.nodes, below)
            added[node["feature_idx"]] -= expected_below(tree.nodes, at)
            at = below
    return added


@pytest.mark.parametrize("kind", ["regressor", "classifier"])
def test_walking_the_trees_node_by_node_gives_the_same(kind, request):
    model = request.getfixturevalue(kind)
    asked = matrix(12, seed=4)
    assert np.isnan(asked).any()
    bias, contributions = path_contributions(model, asked)
    for row, found in zip(asked, contributions, strict=True):
        assert found == pytest.approx(walked(model, row), abs=1e-10)
    roots = sum(expected_below(tree.nodes, 0) for (tree,) in model._predictors)
    assert bias == pytest.approx(model._baseline_prediction.item() + roots)


# What holds of every model.


def test_bias_and_contributions_add_up_to_the_value(regressor):
    asked = matrix(500, seed=5)
    bias, contributions = path_contributions(regressor, asked)
    total = bias + contributions.sum(axis=1)
    np.testing.assert_allclose(total, regressor.predict(asked), rtol=0, atol=1e-9)


def test_bias_and_contributions_add_up_to_the_log_odds(classifier):
    asked = matrix(500, seed=5)
    bias, contributions = path_contributions(classifier, asked)
    total = bias + contributions.sum(axis=1)
    np.testing.assert_allclose(total, classifier.decision_function(asked), rtol=0, atol=1e-9)


def test_bias_and_contributions_add_up_to_the_logarithm_for_a_log_link():
    x = matrix(300, seed=6)
    model = HistGradientBoostingRegressor(loss="poisson", **SETTINGS).fit(
        x, np.exp(outcome(x) / 20)
    )
    bias, contributions = path_contributions(model, x)
    total = bias + contributions.sum(axis=1)
    np.testing.assert_allclose(total, np.log(model.predict(x)), rtol=0, atol=1e-9)


def test_without_weights_the_contributions_of_the_rows_learned_from_have_mean_0():
    x = matrix(600, seed=7)
    model = HistGradientBoostingRegressor(**SETTINGS).fit(x, outcome(x))
    bias, contributions = path_contributions(model, x)
    assert np.abs(contributions.mean(axis=0)).max() < 1e-9
    assert bias == pytest.approx(model.predict(x).mean())


def test_a_feature_never_split_on_adds_nothing(regressor):
    asked = matrix(200, seed=8)
    asked[:, USELESS] = np.linspace(-5, 5, 200)
    _, contributions = path_contributions(regressor, asked)
    assert (contributions[:, USELESS] == 0).all()
    assert (np.abs(contributions[:, :USELESS]).sum(axis=0) > 0).all()


def test_values_beyond_those_seen_and_values_missing_throughout_are_attributed_too(regressor):
    asked = np.array([[np.inf] * COLUMNS, [-np.inf] * COLUMNS, [np.nan] * COLUMNS])
    bias, contributions = path_contributions(regressor, asked[2:])
    assert bias + contributions.sum() == pytest.approx(regressor.predict(asked[2:])[0])
    far = np.clip(asked[:2], -1e9, 1e9)
    np.testing.assert_array_equal(
        path_contributions(regressor, asked[:2])[1], path_contributions(regressor, far)[1]
    )


def test_a_row_depends_on_no_order_and_on_no_other_row(regressor):
    asked = matrix(300, seed=9)
    _, whole = path_contributions(regressor, asked)
    order = np.random.default_rng(10).permutation(300)
    np.testing.assert_array_equal(path_contributions(regressor, asked[order])[1], whole[order])
    np.testing.assert_array_equal(path_contributions(regressor, asked[17:18])[1], whole[17:18])


def test_more_rows_than_one_batch_are_all_attributed(regressor):
    asked = np.resize(matrix(500, seed=11), (ROWS + 7, COLUMNS))
    _, contributions = path_contributions(regressor, asked)
    np.testing.assert_array_equal(
        contributions, np.resize(path_contributions(regressor, asked[:500])[1], contributions.shape)
    )


def test_no_rows_give_an_empty_table(regressor):
    bias, contributions = path_contributions(regressor, np.empty((0, COLUMNS)))
    assert contributions.shape == (0, COLUMNS)
    assert bias == path_contributions(regressor, matrix(3, seed=1))[0]


def test_trees_without_splits_give_the_mean_and_no_contributions():
    model = HistGradientBoostingRegressor(max_iter=3).fit(np.zeros((50, 2)), np.arange(50.0))
    bias, contributions = path_contributions(model, np.ones((4, 2)))
    assert bias == pytest.approx(24.5)
    assert contributions.shape == (4, 2)
    assert not contributions.any()


def test_the_given_matrix_is_not_changed(regressor):
    asked = matrix(50, seed=12)
    before = asked.copy()
    path_contributions(regressor, asked)
    np.testing.assert_array_equal(asked, before)


# What is refused.


def test_a_matrix_of_other_columns_is_refused(regressor):
    for asked in (np.zeros((3, COLUMNS - 1)), np.zeros(COLUMNS)):
        with pytest.raises(ValueError, match="6 columns"):
            path_contributions(regressor, asked)


def test_more_than_two_classes_are_refused():
    x = matrix(90, seed=13)
    model = HistGradientBoostingClassifier(max_iter=2).fit(x, np.arange(90) % 3)
    with pytest.raises(ValueError, match="expected two classes, got 3"):
        path_contributions(model, x)


def test_categorical_splits_are_refused():
    x = np.arange(90)[:, None] % 3
    model = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0]).fit(x, x[:, 0] == 1)
    assert model._predictors[0][0].nodes["is_categorical"].any()
    with pytest.raises(ValueError, match="categorical"):
        path_contributions(model, x)


def test_a_model_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        path_contributions(HistGradientBoostingRegressor(), np.zeros((1, 1)))


PERIODS = 7


@pytest.fixture(scope="module")
def hazard() -> HistGradientBoostingClassifier:
    """Of bins and a period, which matters by itself, together with a bin, and at its end."""
    generator = np.random.default_rng(8)
    bins = generator.integers(-1, 63, size=(3000, 4)).astype(float)
    period = generator.integers(1, PERIODS + 1, size=3000)
    rises = (bins[:, 0] > 30) * period + 3 * (period == PERIODS) + (bins[:, 1] < 0)
    happened = generator.random(3000) < rises / 12
    settings = SETTINGS | {"max_iter": 60}
    return HistGradientBoostingClassifier(**settings).fit(np.column_stack([bins, period]), happened)


@pytest.mark.parametrize("rows", [0, 1, 300, ROWS + 3])
def test_periods_at_once_are_scikit_learns_predictions_of_each_period(hazard, rows):
    bins = np.random.default_rng(9).integers(-1, 63, size=(rows, 4)).astype(float)
    found = raw_of_bins(hazard, bins, PERIODS)
    assert found.shape == (rows, PERIODS)
    for period in range(1, PERIODS + 1 if rows else 0):
        alone = hazard.decision_function(np.column_stack([bins, np.full(rows, period)]))
        np.testing.assert_allclose(found[:, period - 1], alone, rtol=0, atol=1e-12)
    assert not rows or np.ptp(found, axis=1).max() > 0.1


def test_the_period_is_no_column_of_the_bins(hazard):
    with pytest.raises(ValueError, match=r"expected 4 columns, got shape \(2, 5\)"):
        raw_of_bins(hazard, np.zeros((2, 5)), PERIODS)


def test_bins_without_a_period_have_scikit_learns_predictions():
    bins = np.random.default_rng(10).integers(-1, 63, size=(500, 3)).astype(float)
    settings = SETTINGS | {"max_leaf_nodes": 31}
    model = HistGradientBoostingRegressor(**settings).fit(bins, bins[:, 0] * bins[:, 1])
    (found,) = raw_of_bins(model, bins).T
    np.testing.assert_allclose(found, model.predict(bins), rtol=1e-12)
