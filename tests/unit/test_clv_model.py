"""Customer value: the matrix, the learner on a world whose truth is known, intervals that cover."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from mapie.conformity_scores import AbsoluteConformityScore
from mapie.regression import SplitConformalRegressor
from sklearn.base import BaseEstimator, RegressorMixin
from threadpoolctl import threadpool_limits

from ml.clv.interval import GROUPS, ConformalInterval
from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.encoding import MOST_LEVELS, FrameEncoder
from ml.evaluation.metrics import compare, gini, mean_absolute_error
from ml.measures import LAST_PERIOD, PACE

GROWTH = {"retail": -0.2, "affluent": 0.1, "private": 0.6}
ON_BOOKS_A_QUARTER = 0.25


class World:
    """Customers whose chance to stay and whose margin are known.

    The longer idle, the likelier gone; each segment grows at a rate of its own. One in seven has a
    quarter of a period behind, so that the last period holds a quarter of the pace. Some paces are
    losses.
    """

    def __init__(self, n: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        idle = generator.integers(0, 12, n)
        segment = generator.choice(list(GROWTH), n, p=[0.6, 0.3, 0.1])
        pace = generator.lognormal(5, 1, n) - 60
        self.newcomer = generator.random(n) < 1 / 7
        self.frame = pd.DataFrame(
            {
                "idle_months": idle,
                "segment": segment,
                LAST_PERIOD: np.where(self.newcomer, ON_BOOKS_A_QUARTER, 1) * pace,
                PACE: pace,
            }
        )
        size = np.abs(pace) + 50
        self.chance = 1 / (1 + np.exp(0.5 * idle - 3))
        self.margin = pace + pd.Series(segment).map(GROWTH).to_numpy(dtype=float) * size
        self.expected = self.chance * self.margin
        noise = generator.normal(0, 0.3, n) * size
        self.y = np.where(generator.random(n) < self.chance, self.margin + noise, 0.0)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # On cores shared with others, threads that wait for one another cost such small fits seconds.
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def past() -> World:
    return World(4000, seed=1)


@pytest.fixture(scope="module")
def later() -> World:
    return World(4000, seed=2)


@pytest.fixture(scope="module")
def learner(past: World, later: World) -> TwoPartRegressor:
    return TwoPartRegressor(seed=1).fit(past.frame, past.y).calibrate(later.frame, later.y)


# The matrix.

SEEN = pd.DataFrame(
    {
        "age": [40, 25, 61, 33],
        "segment": ["b", "a", None, "c"],
        "balance": [1.5, np.nan, -2.0, 0.0],
        "has_card": [True, False, True, True],
    }
)


def test_numbers_stay_and_categories_become_the_codes_of_their_sorted_levels():
    encoder = FrameEncoder().fit(SEEN)
    assert encoder.columns_ == ["age", "segment", "balance", "has_card"]
    assert encoder.levels_ == {"segment": ["a", "b", "c"]}
    np.testing.assert_array_equal(
        encoder.transform(SEEN),
        [[40, 1, 1.5, 1], [25, 0, np.nan, 0], [61, np.nan, -2, 1], [33, 2, 0, 1]],
    )


def test_columns_are_found_by_name_in_any_order_and_others_are_not_read():
    encoder = FrameEncoder().fit(SEEN)
    other = SEEN[["has_card", "balance", "segment", "age"]].assign(new=["x", "y", "z", "x"])
    np.testing.assert_array_equal(encoder.transform(other), encoder.transform(SEEN))


def test_codes_do_not_depend_on_the_order_of_the_rows_when_fitting():
    encoder, other = FrameEncoder().fit(SEEN), FrameEncoder().fit(SEEN[::-1])
    np.testing.assert_array_equal(encoder.transform(SEEN), other.transform(SEEN))


def test_a_level_not_seen_is_a_missing_value_and_moves_no_other():
    encoder = FrameEncoder().fit(SEEN)
    matrix = encoder.transform(SEEN.assign(segment=pd.Series(["b", "aa", "c", None])))
    np.testing.assert_array_equal(matrix[:, 1], [1, np.nan, 2, np.nan])


def test_missing_columns_are_refused_naming_all_of_them():
    encoder = FrameEncoder().fit(SEEN)
    with pytest.raises(ValueError, match=r"\['age', 'balance'\]"):
        encoder.transform(SEEN.drop(columns=["balance", "age"]))


def test_constant_columns_are_left_out_and_not_required():
    frame = SEEN.assign(constant=1, same="x", empty=np.nan, mostly=[1, 1, np.nan, 1])
    encoder = FrameEncoder().fit(frame)
    assert encoder.columns_ == ["age", "segment", "balance", "has_card", "mostly"]
    assert encoder.transform(frame.drop(columns=["constant", "same", "empty"])).shape == (4, 5)


def test_nullable_numbers_and_flags_keep_their_gaps():
    frame = pd.DataFrame(
        {
            "count": pd.array([3, None, 1], dtype="Int64"),
            "flag": pd.array([True, None, False], dtype="boolean"),
        }
    )
    np.testing.assert_array_equal(
        FrameEncoder().fit(frame).transform(frame), [[3, 1], [np.nan, np.nan], [1, 0]]
    )


def test_a_category_has_a_largest_number_of_levels_and_the_rest_are_missing():
    names = [f"{number:03d}" for number in range(MOST_LEVELS + 5)]
    frame = pd.DataFrame({"branch": names})
    codes = FrameEncoder().fit(frame).transform(frame)[:, 0]
    np.testing.assert_array_equal(codes[:MOST_LEVELS], np.arange(MOST_LEVELS))
    assert np.isnan(codes[MOST_LEVELS:]).all()


# The learner.


def test_the_learner_beats_the_rule_on_a_later_period_beyond_chance(learner, past, later):
    rule = LastPeriodAgain().fit(past.frame, past.y)
    found = compare(
        {"gini": gini, "error": mean_absolute_error},
        later.y,
        learner.predict(later.frame),
        rule.predict(later.frame),
        seed=1,
    )
    assert found["gini"].difference.low > 0
    assert found["error"].difference.high < 0


def test_the_learner_recovers_the_planted_expectation(learner, past, later):
    """It leaves less than a twentieth of the squared distance that the rule leaves."""
    rule = LastPeriodAgain().fit(past.frame, past.y).predict(later.frame)
    predicted = learner.predict(later.frame)

    def distance(score: np.ndarray) -> float:
        return float(((score - later.expected) ** 2).mean())

    assert distance(predicted) < distance(rule) / 20
    assert distance(predicted) < later.expected.var() / 20


def test_the_learners_totals_match_the_future_for_the_idle_and_in_each_segment(
    learner, past, later
):
    """In each cell of both parts, within three standard errors of what one period's luck does."""

    def furthest(predicted: np.ndarray) -> float:
        cells = pd.DataFrame(
            {
                "idle": later.frame["idle_months"] // 4,
                "segment": later.frame["segment"],
                "apart": predicted - later.expected,
                "luck": later.y - later.expected,
            }
        ).groupby(["idle", "segment"])
        error: pd.Series = cells["luck"].std() * np.sqrt(cells.size())
        assert len(error) == 9
        return float((cells["apart"].sum() / error).abs().max())

    rule = LastPeriodAgain().fit(past.frame, past.y)
    assert furthest(learner.predict(later.frame)) < 3 < furthest(rule.predict(later.frame))


def test_customers_with_part_of_a_period_are_taken_at_their_pace(learner, past, later):
    newcomers = later.frame[later.newcomer]
    expected = later.expected[later.newcomer].sum()
    rule = LastPeriodAgain().fit(past.frame, past.y).predict(newcomers).sum()
    assert rule < 0.6 * expected
    assert learner.predict(newcomers).sum() == pytest.approx(expected, rel=0.1)


def test_customers_without_history_are_predicted_like_similar_customers():
    generator = np.random.default_rng(3)
    channel = generator.choice(["branch", "online"], 2000)
    pace = np.where(generator.random(2000) < 0.3, 0.0, generator.lognormal(5, 1, 2000))
    frame = pd.DataFrame({"channel": channel, LAST_PERIOD: pace, PACE: pace})
    first = np.where(channel == "branch", 400.0, 100.0)
    y = np.where(pace == 0, first, pace) * generator.uniform(0.8, 1.2, 2000)
    model = TwoPartRegressor(trees=60).fit(frame, y)
    new = pd.DataFrame({"channel": ["branch", "online"], LAST_PERIOD: 0.0, PACE: 0.0})
    assert model.predict(new) == pytest.approx([400, 100], rel=0.1)


def test_only_the_second_part_is_learned_where_every_customer_contributes(past, later):
    model = TwoPartRegressor().fit(past.frame, past.margin)
    assert model.stays_ is None
    predicted = model.predict(later.frame)
    left = ((predicted - later.margin) ** 2).mean()
    assert left < ((later.frame[PACE] - later.margin) ** 2).mean() / 20


def test_without_a_distinguishing_feature_the_total_is_still_right():
    """The small lose half, the large gain half: a plain mean of the shares would be far off."""
    pace = np.array([100.0] * 300 + [1000.0] * 300)
    frame = pd.DataFrame({PACE: pace, LAST_PERIOD: pace})
    y = pace * np.where(pace > 500, 1.5, 0.5)
    model = TwoPartRegressor(least_leaf=len(y)).fit(frame, y)
    assert model.predict(frame).sum() == pytest.approx(y.sum())


def test_outcomes_that_are_all_zero_are_refused(past):
    with pytest.raises(ValueError, match="expected a contribution other than 0"):
        TwoPartRegressor().fit(past.frame, np.zeros(len(past.frame)))


def test_the_same_seed_gives_the_same_model(past, later):
    one, other = (
        TwoPartRegressor(seed=7, trees=10).fit(past.frame, past.y).predict(later.frame)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_a_customers_value_depends_on_no_order_and_on_no_other_customer(learner, later):
    whole = learner.predict_interval(later.frame)
    order = np.random.default_rng(4).permutation(len(later.frame))
    shuffled = later.frame.iloc[order][[PACE, "segment", LAST_PERIOD, "idle_months"]]
    np.testing.assert_array_equal(learner.predict_interval(shuffled), whole[order])
    np.testing.assert_array_equal(learner.predict_interval(later.frame[10:11]), whole[10:11])


def test_unknown_levels_and_missing_values_still_have_a_value(learner):
    frame = pd.DataFrame(
        {
            "idle_months": [np.nan, 1, 1],
            "segment": ["retail", "institutional", None],
            LAST_PERIOD: 100.0,
            PACE: 100.0,
        }
    )
    predicted = learner.predict(frame)
    assert np.isfinite(predicted).all()
    assert predicted[1] == predicted[2]


def test_the_learner_names_every_feature_that_is_missing(learner, later):
    with pytest.raises(ValueError, match=r"\['segment', 'pace_of_contribution'\]"):
        learner.predict(later.frame.drop(columns=[PACE, "segment"]))


def test_the_rule_repeats_the_last_period_and_reads_nothing_else(past):
    rule = LastPeriodAgain().fit(past.frame, past.y)
    assert rule.columns_ == [LAST_PERIOD]
    frame = pd.DataFrame({LAST_PERIOD: [3, -2, 0]})
    np.testing.assert_array_equal(rule.predict(frame), [3.0, -2.0, 0.0])


# The intervals.


def standard_error(calibrated: int, judged: int, coverage: float = 0.9) -> float:
    """Of the share covered: the luck of the outcomes that set the bounds, and of those judged."""
    return float(np.sqrt(coverage * (1 - coverage) * (1 / calibrated + 1 / judged)))


@pytest.mark.parametrize("kind", ["learner", "rule"])
def test_intervals_set_on_one_period_cover_the_next_one(learner, past, later, kind):
    model = learner
    if kind == "rule":
        model = LastPeriodAgain().fit(past.frame, past.y).calibrate(later.frame, later.y)
    after = World(4000, seed=5)
    point, low, high = model.predict_interval(after.frame).T
    np.testing.assert_array_equal(point, model.predict(after.frame))
    assert (low <= point).all() and (point <= high).all()
    covered = ((low <= after.y) & (after.y <= high)).mean()
    assert abs(covered - 0.9) < 3 * standard_error(4000, 4000)


def large_and_uncertain(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of heavy tail and outcomes with skewed errors in proportion to them."""
    generator = np.random.default_rng(seed)
    predicted = generator.lognormal(5, 1, n)
    return predicted, predicted * (0.5 + 0.5 * generator.exponential(1, n))


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_cover_fresh_outcomes_overall_in_every_tenth_and_on_both_sides(coverage):
    n, periods = 4000, 10
    overall, tenths, missed = [], [], []
    for seed in range(periods):
        interval = ConformalInterval(coverage).fit(*large_and_uncertain(n, seed))
        predicted, y = large_and_uncertain(n, 1000 + seed)
        _, low, high = interval.around(predicted).T
        covered = (low <= y) & (y <= high)
        overall.append(covered.mean())
        tenths.append([part.mean() for part in np.array_split(covered[predicted.argsort()], 10)])
        missed.append([(y < low).mean(), (y > high).mean()])
    error = standard_error(n * periods, n * periods, coverage)
    assert abs(np.mean(overall) - coverage) < 4 * error
    assert np.abs(np.mean(tenths, axis=0) - coverage).max() < 4 * error * np.sqrt(10)
    assert np.abs(np.mean(missed, axis=0) - (1 - coverage) / 2).max() < 4 * error


def test_intervals_are_wider_where_errors_are_larger_and_longer_on_the_skewed_side():
    interval = ConformalInterval().fit(*large_and_uncertain(4000, 1))
    assert len(interval.edges_) == GROUPS - 1
    width = interval.above_ - interval.below_
    assert (np.diff(width) > 0).all()
    assert (interval.above_ > -interval.below_).all()


def test_the_ranks_of_a_small_group_by_hand():
    # Of nineteen errors the half in the middle lies between the fifth and the fifteenth.
    predicted = np.full(19, 100.0)
    errors = np.random.default_rng(1).permutation(np.arange(-9.0, 10.0))
    interval = ConformalInterval(coverage=0.5).fit(predicted, predicted + errors)
    np.testing.assert_array_equal(
        interval.around(np.array([100.0, 7.0])), [[100, 95, 105], [7, 2, 12]]
    )


class Given(RegressorMixin, BaseEstimator):
    """Predicts its only feature."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Given:
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0]


@pytest.mark.parametrize("n", [37, 38, 60, 79])
def test_the_bounds_of_one_group_are_those_of_a_second_implementation(n):
    generator = np.random.default_rng(n)
    predicted = generator.normal(size=n)
    y = predicted + generator.gamma(1, 1, n) - 1
    peer = SplitConformalRegressor(
        Given().fit(predicted[:, None], y),
        confidence_level=0.9,
        conformity_score=AbsoluteConformityScore(sym=False),
        prefit=True,
    ).conformalize(predicted[:, None], y)
    bounds = peer.predict_interval(np.zeros((1, 1)))[1].ravel()
    _, low, high = ConformalInterval(coverage=0.9).fit(predicted, y).around(np.zeros(1)).T
    assert (low[0], high[0]) == pytest.approx(tuple(bounds), rel=1e-12)


def test_the_upper_rank_is_of_one_outcome_more_than_was_seen():
    # ⌈21 · 0.95⌉ = 20, the largest of twenty errors; ⌈20 · 0.95⌉ would be the one below it.
    errors = np.arange(1.0, 21.0)
    interval = ConformalInterval(coverage=0.9).fit(np.zeros(20), errors)
    np.testing.assert_array_equal(interval.around(np.array([0.0])), [[0, 0, 20]])


@pytest.mark.parametrize("n", [19, 39, 59, 79])
def test_a_small_calibration_set_covers_no_less_than_nominal_and_hardly_more(n):
    """Split conformal: at least the nominal share over all draws, at most two ranks above it."""
    draws = 1000
    generator = np.random.default_rng(n)
    covered = []
    for _ in range(draws):
        interval = ConformalInterval().fit(np.zeros(n), generator.normal(size=n))
        (_, low, high) = interval.around(np.zeros(1))[0]
        fresh = generator.normal(size=100)
        covered.append(((low <= fresh) & (fresh <= high)).mean())
    error = np.std(covered) / np.sqrt(draws)
    assert 0.9 - 3 * error < np.mean(covered) < 0.9 + 2 / (n + 1) + 3 * error


@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_group_too_small_for_the_nominal_share_spans_all_its_errors(n):
    errors = np.random.default_rng(n).normal(size=n)
    interval = ConformalInterval().fit(np.zeros(n), errors)
    assert interval.around(np.zeros(1)).tolist() == [
        [0, min(errors.min(), 0), max(errors.max(), 0)]
    ]


@pytest.mark.parametrize("shift", [-50, 50])
def test_the_interval_holds_the_prediction_even_where_all_outcomes_lie_on_one_side(shift):
    predicted, _ = large_and_uncertain(400, 2)
    point, low, high = ConformalInterval().fit(predicted, predicted + shift).around(predicted).T
    assert (low <= point).all() and (point <= high).all()
    np.testing.assert_allclose(high - low, 50)


def test_predictions_beyond_those_seen_take_the_outermost_groups_bounds():
    predicted, y = large_and_uncertain(4000, 3)
    interval = ConformalInterval().fit(predicted, y)
    low, high = interval.around(np.array([-1e6, 1e6]))
    np.testing.assert_allclose(low, [-1e6, -1e6 + interval.below_[0], -1e6 + interval.above_[0]])
    np.testing.assert_allclose(high, [1e6, 1e6 + interval.below_[-1], 1e6 + interval.above_[-1]])


@pytest.mark.parametrize(
    "predicted",
    [
        np.zeros(100),
        np.r_[np.zeros(100), np.arange(1.0, 401)],
        np.r_[-np.arange(1.0, 42), np.zeros(100), np.arange(1.0, 270)],
    ],
    ids=["all", "the least", "inside"],
)
def test_tied_predictions_have_intervals_too(predicted):
    y = predicted + np.random.default_rng(1).normal(size=len(predicted))
    _, low, high = ConformalInterval().fit(predicted, y).around(predicted).T
    assert ((low <= y) & (y <= high)).mean() >= 0.9


def test_a_prediction_at_a_border_belongs_to_the_group_above():
    predicted, errors = np.repeat([1.0, 2.0], 40), np.r_[np.full(40, 1.0), np.full(40, 5.0)]
    interval = ConformalInterval().fit(predicted, predicted + errors)
    assert interval.edges_.tolist() == [2]
    np.testing.assert_array_equal(interval.around(np.array([1.9, 2.0]))[:, 2], [2.9, 7])


@pytest.mark.parametrize(
    ("predicted", "y", "words"),
    [
        ([], [], "one length"),
        ([1.0], [1.0, 2.0], "one length"),
        ([[1.0]], [[1.0]], "one length"),
        ([1.0, math.nan], [1.0, 2.0], "finite"),
        ([1.0, 2.0], [1.0, math.inf], "finite"),
    ],
)
def test_invalid_predictions_and_outcomes_are_refused_for_intervals(predicted, y, words):
    with pytest.raises(ValueError, match=f"predictions and outcomes are invalid: .*{words}"):
        ConformalInterval().fit(predicted, y)


def test_flags_with_gaps_and_whole_number_categories_are_coded_like_their_levels():
    frame = pd.DataFrame({"flag": [True, False, None, True], "code": pd.Categorical([1, 2, 1, 2])})
    np.testing.assert_array_equal(
        FrameEncoder().fit(frame).transform(frame), [[1, 0], [0, 1], [np.nan, 0], [1, 1]]
    )


def test_the_rarest_categories_are_the_ones_left_out():
    names = [f"{number:03d}" for number in range(MOST_LEVELS + 1)]
    frame = pd.DataFrame({"town": [*names, *names[1:]]})
    codes = FrameEncoder().fit(frame).transform(frame)[:, 0]
    assert np.isnan(codes[0])
    np.testing.assert_array_equal(codes[1 : MOST_LEVELS + 1], np.arange(MOST_LEVELS))


def test_a_column_empty_for_all_who_stay_does_not_stop_the_learner():
    """A bank of a few customers: only those who leave have a value in the column."""
    world = World(60, seed=3)
    leaves = np.arange(60) % 3 == 0
    frame = world.frame.assign(rare=np.where(leaves, np.arange(60.0), np.nan))
    model = TwoPartRegressor(seed=1).fit(frame, np.where(leaves, 0.0, world.y + 1))
    assert np.isfinite(model.predict(frame)).all()
