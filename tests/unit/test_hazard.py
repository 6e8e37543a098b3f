"""Hazards: worlds whose hazards are known, censored rows, and what is drawn of the periods."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ml.encoding import MOST_BINS
from ml.evaluation.metrics import auc, spearman
from ml.hazard import DiscreteTimeHazard, hazard_line
from ml.serving import TRUSTED_TYPES

PERIODS = 12


def proportional(x: np.ndarray, period: np.ndarray) -> np.ndarray:
    """The same shift in log-odds in every period."""
    return expit(-3.6 + 0.9 * x[:, :1] - 0.6 * x[:, 1:2] + 0.03 * period)


def soon_or_late(x: np.ndarray, period: np.ndarray) -> np.ndarray:
    """The first feature drives the first three periods only, the second those after them."""
    soon = period <= 3
    return expit(-3.4 + 1.5 * np.where(soon, x[:, :1], 0) + 1.2 * np.where(soon, 0, x[:, 1:2]))


class World:
    """Customers whose hazards are known; with `censored`, half are lost sight of at any time."""

    def __init__(
        self,
        n: int,
        seed: int,
        law: Callable[[np.ndarray, np.ndarray], np.ndarray] = proportional,
        *,
        periods: int = PERIODS,
        censored: bool = False,
    ) -> None:
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(n, 3))
        self.hazard = np.broadcast_to(law(x, np.arange(1, periods + 1)[None, :]), (n, periods))
        self.survival = np.cumprod(1 - self.hazard, axis=1)
        comes = generator.random((n, periods)) < self.hazard
        when = np.where(comes.any(axis=1), comes.argmax(axis=1) + 1, periods + 1)
        seen = np.full(n, periods)
        if censored:
            leaves = generator.random(n) < 0.5
            seen[leaves] = generator.integers(1, periods + 1, leaves.sum())
        self.event = when <= seen
        self.time = np.minimum(when, seen)
        self.frame = pd.DataFrame(x, columns=["balance", "age", "noise"])

    def fit(self, **settings: object) -> DiscreteTimeHazard:
        periods = self.hazard.shape[1]
        return DiscreteTimeHazard(periods=periods, **settings).fit(
            self.frame, self.time, self.event
        )


def expanded(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The whole person-period table, one row after the other: row, period, event."""
    cells = [
        (row, period, event and period == time)
        for row, (time, event) in enumerate(zip(world.time, world.event, strict=True))
        for period in range(1, time + 1)
    ]
    row, period, event = map(np.array, zip(*cells, strict=True))
    return row, period, event


def kaplan_meier(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Product-limit survival at the end of each period, and Greenwood's standard error."""
    survival, spread, curve, error = 1.0, 0.0, [], []
    for period in range(1, PERIODS + 1):
        at_risk, events = (time >= period).sum(), (event & (time == period)).sum()
        survival *= 1 - events / at_risk
        spread += events / (at_risk * (at_risk - events))
        curve.append(survival)
        error.append(survival * np.sqrt(spread))
    return np.array(curve), np.array(error)


LAWS = [proportional, soon_or_late]


@cache
def past(law: Callable[[np.ndarray, np.ndarray], np.ndarray] = proportional) -> World:
    return World(8000, seed=1, law=law, censored=True)


@cache
def later(law: Callable[[np.ndarray, np.ndarray], np.ndarray] = proportional) -> World:
    return World(4000, seed=2, law=law)


@cache
def model(
    law: Callable[[np.ndarray, np.ndarray], np.ndarray] = proportional,
) -> DiscreteTimeHazard:
    return past(law).fit()


# Against the truth and against other ways to the same.


@pytest.mark.parametrize("law", LAWS)
def test_customers_are_ordered_as_their_true_probabilities_are(law):
    new = later(law)
    assert spearman(1 - new.survival[:, -1], model(law).probability(new.frame)) > 0.9


@pytest.mark.parametrize("law", LAWS)
def test_survival_is_that_of_the_world_for_the_safe_and_for_those_at_risk(law):
    """By fifth of the prediction: three standard errors of what calibrates, and 0.02 of shape."""
    new, survival = later(law), model(law).survival(later(law).frame)
    calibrating = len(past(law).time) // 2 // 5
    for fifth in np.array_split(np.argsort(survival[:, -1]), 5):
        true = new.survival[fifth].mean(axis=0)
        error = np.sqrt(true * (1 - true) / calibrating)
        assert (np.abs(survival[fifth].mean(axis=0) - true) < 3 * error + 0.02).all()


def test_a_feature_that_drives_the_first_periods_moves_only_those():
    first = pd.DataFrame({"balance": [-1.5, 1.5], "age": [0.0, 0.0], "noise": [0.0, 0.0]})
    second = first.rename(columns={"balance": "age", "age": "balance"})
    low, high = logit(model(soon_or_late).hazard(first))
    assert (high - low)[:3].min() > 2 * np.abs(high - low)[4:].max()
    low, high = logit(model(soon_or_late).hazard(second))
    assert (high - low)[4:].min() > 2 * np.abs(high - low)[:3].max()


@pytest.mark.parametrize("law", LAWS)
def test_mean_survival_is_kaplan_and_meiers_of_the_sample(law):
    """Within two of Greenwood's standard errors, in each period and with half censored."""
    curve, error = kaplan_meier(past(law).time, past(law).event)
    mean = model(law).survival(past(law).frame).mean(axis=0)
    assert (np.abs(mean - curve) < 2 * error).all()


def test_a_logistic_regression_on_the_whole_table_agrees_in_a_logistic_world():
    """What the two differ by is a twentieth of what customers differ by, at most."""
    row, period, event = expanded(past())
    table = np.column_stack([past().frame.to_numpy()[row], period])
    logistic = LogisticRegression(C=1e6, max_iter=1000).fit(table, event)
    new = later().frame
    hazard = np.column_stack(
        [
            logistic.predict_proba(np.column_stack([new, np.full(len(new), number)]))[:, 1]
            for number in range(1, PERIODS + 1)
        ]
    )
    other = 1 - np.prod(1 - hazard, axis=1)
    found = model().probability(new)
    assert spearman(other, found) > 0.95
    assert ((other - found) ** 2).mean() < other.var() / 20
    assert found.mean() == pytest.approx(other.mean(), rel=0.05)


def test_censored_customers_are_neither_dropped_nor_counted_as_lost_or_kept():
    """Three standard errors about the truth hold the prediction and none of the shortcuts."""
    world = World(6000, 3, lambda x, period: np.full((len(x), 1), 0.06), censored=True)
    true = 1 - 0.94**PERIODS
    error = np.sqrt(true * (1 - true) / (len(world.time) / 2))
    whole = world.event | (world.time == PERIODS)
    shortcuts = {
        "dropped": world.event[whole].mean(),
        "events": (world.event | (world.time < PERIODS)).mean(),
        "kept": world.event.mean(),
    }
    assert abs(world.fit(trees=10).probability(world.frame).mean() - true) < 3 * error
    assert all(abs(shortcut - true) > 3 * error for shortcut in shortcuts.values())


def test_the_newest_rows_set_the_level():
    """Odds fall by half after the older half; the events to come are those of the newer."""
    old = World(4000, 4)
    new = World(4000, 5, lambda x, period: expit(logit(proportional(x, period)) - np.log(2)))
    found = DiscreteTimeHazard(trees=20, newest_share=0.5).fit(
        pd.concat([old.frame, new.frame]),
        np.concatenate([old.time, new.time]),
        np.concatenate([old.event, new.event]),
    )
    true = 1 - new.survival[:, -1]
    error = np.sqrt((true * (1 - true)).sum()) / true.sum()
    mean = found.probability(new.frame).mean()
    assert abs(mean / true.mean() - 1) < 3 * error
    assert mean / (1 - old.survival[:, -1]).mean() - 1 < -3 * error


def test_few_events_order_customers_no_worse_than_chance_and_get_the_total():
    """Some fifty events among two thousand; the slope stays above nothing."""
    world = World(2000, 6, lambda x, period: expit(-7.0 + 1.2 * x[:, :1] + 0 * period))
    assert 30 <= world.event.sum() <= 100
    found = world.fit()
    probability = found.probability(world.frame)
    assert found.line_[1] > 0
    assert spearman(world.hazard[:, 0], probability) > 0.3
    events = world.event.sum()
    assert abs(probability.sum() - events) < 3 * np.sqrt(events)


def test_without_signal_customers_hardly_differ():
    world = World(2000, 7, lambda x, period: np.full((len(x), 1), 0.004))
    probability = world.fit().probability(world.frame)
    assert np.quantile(probability, 0.9) < 3 * np.quantile(probability, 0.1)


def test_a_newer_half_without_an_event_still_gives_low_finite_hazards():
    world = World(1000, 8, lambda x, period: np.full((len(x), 1), 0.02))
    event, time = world.event.copy(), world.time.copy()
    time[500:][event[500:]], event[500:] = PERIODS, False
    found = DiscreteTimeHazard(trees=5).fit(world.frame, time, event).probability(world.frame)
    assert np.isfinite(found).all()
    assert 0 < found.mean() < event[:500].mean() / 2


# What follows from the hazards.


def test_survival_probability_and_lead_time_are_those_of_the_hazards():
    new = later().frame[:50]
    hazard, survival = model().hazard(new), model().survival(new)
    probability, lead_time = model().probability(new), model().expected_lead_time(new)
    assert hazard.shape == survival.shape == (50, PERIODS)
    assert ((hazard > 0) & (hazard < 1)).all()
    for row in range(50):
        left, chance = 1.0, []
        for period in range(PERIODS):
            chance.append(left * hazard[row, period])
            left *= 1 - hazard[row, period]
            assert survival[row, period] == pytest.approx(left)
        assert probability[row] == pytest.approx(sum(chance))
        weighted = sum((period + 1) * share for period, share in enumerate(chance))
        assert lead_time[row] == pytest.approx(weighted / sum(chance))
    both = model().predict_proba(new)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_array_equal(both[:, 1], probability)
    assert model().classes_.tolist() == [0, 1]


def test_the_lead_time_is_short_where_the_event_comes_soon():
    soon = pd.DataFrame({"balance": [2.0, -2.0], "age": [-2.0, 2.0], "noise": [0.0, 0.0]})
    early, late = model(soon_or_late).expected_lead_time(soon)
    assert 1 <= early < 4 < late <= PERIODS


def test_one_period_is_plain_classification_with_a_line_in_its_log_odds():
    world = World(3000, 9, lambda x, period: expit(-1.5 + x[:, :1] + 0 * period), periods=1)
    found = world.fit(trees=15)
    plain = HistGradientBoostingClassifier(
        max_iter=15,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        learning_rate=0.1,
        l2_regularization=10.0,
        max_bins=MOST_BINS,
        early_stopping=False,
    )
    bins = found.binner_.transform(found.encoder_.transform(world.frame))
    fold = found._dealt(world.event, np.arange(3000))
    with threadpool_limits(1):
        parts = [clone(plain).fit(bins[fold != one], world.event[fold != one]) for one in range(3)]
        raw = np.mean([one.decision_function(bins) for one in parts], axis=0)
    np.testing.assert_allclose(
        logit(found.probability(world.frame)), found.line_[0] + found.line_[1] * raw, atol=1e-6
    )
    assert found.hazard(world.frame).shape == (3000, 1)
    assert (found.expected_lead_time(world.frame) == 1).all()
    assert auc(world.event, found.probability(world.frame)) > 0.7


def test_contributions_of_one_period_add_up_to_the_differences_in_log_odds():
    world = World(3000, 9, lambda x, period: expit(-1.5 + x[:, :1] + 0 * period), periods=1)
    found = world.fit(trees=15)
    moved, names = found.contributions(world.frame)
    rest = logit(found.probability(world.frame)) - moved.sum(axis=1)
    assert np.ptp(rest) < 1e-6
    assert names == ["balance", "age", "noise"]


def test_contributions_are_each_features_and_the_period_has_none():
    moved, names = model().contributions(later().frame)
    assert moved.shape == (len(later().frame), 3)
    assert names == model().columns_ == ["balance", "age", "noise"]
    size = np.abs(moved).mean(axis=0)
    assert size[0] > size[1] > 3 * size[2]
    assert spearman(later().frame["balance"].to_numpy(), moved[:, 0]) > 0.9
    assert spearman(later().frame["age"].to_numpy(), moved[:, 1]) < -0.9


# What is drawn of the periods at risk.


def test_all_events_are_kept_and_the_sampled_rest_is_weighted_up():
    world = World(300, 10, censored=True)
    row, period, event = expanded(world)
    learner = DiscreteTimeHazard(most_rows=200)
    drawn, at, y, weight = learner._at_risk(world.time, world.event)
    assert (y == 0).sum() == 200
    assert weight[y == 0].sum() == pytest.approx((event == 0).sum())
    there = set(zip(row[event == 0], period[event == 0], strict=True))
    assert set(zip(drawn[y == 0], at[y == 0], strict=True)) <= there
    kept = set(zip(drawn[y == 1], at[y == 1], strict=True))
    assert kept == set(zip(row[event == 1], period[event == 1], strict=True))
    assert (weight[y == 1] == 1).all()


def test_all_rows_are_kept_where_the_limit_allows():
    world = World(300, 10, censored=True)
    row, period, event = expanded(world)
    drawn, at, y, weight = DiscreteTimeHazard()._at_risk(world.time, world.event)
    assert sorted(zip(drawn, at, y, strict=True)) == sorted(zip(row, period, event, strict=True))
    assert (weight == 1).all()


def test_every_period_at_risk_has_the_same_chance_to_be_drawn():
    """Mean weight of each over many seeds: 1, within five standard errors of a chance."""
    time, event = np.array([3, 12, 1, 7, 12, 5]), np.array([1, 0, 1, 0, 0, 1], dtype=bool)
    total, drawn, seeds = int((time - event).sum()), 10, 2000
    count = np.zeros((len(time), PERIODS))
    for seed in range(seeds):
        learner = DiscreteTimeHazard(seed=seed, most_rows=drawn)
        row, period, y, weight = learner._at_risk(time, event)
        np.add.at(count, (row[y == 0], period[y == 0] - 1), weight[y == 0] / seeds)
    at_risk = np.arange(1, PERIODS + 1) <= (time - event)[:, None]
    assert (count[~at_risk] == 0).all()
    error = np.sqrt(total / drawn / seeds)
    assert np.abs(count[at_risk] - 1).max() < 5 * error


def test_the_full_expansion_is_never_built():
    """Six million periods at risk, and less than a byte for each is held at once."""
    time, event = np.full(100_000, 60), np.arange(100_000) % 1000 == 0
    learner = DiscreteTimeHazard(periods=60, most_rows=1000)
    tracemalloc.start()
    learner._at_risk(time, event)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < time.sum()


def test_a_draw_changes_the_estimates_within_its_noise_and_not_the_total():
    """A tenth is drawn. The mean of four draws has the total of all within three errors."""
    whole = model().probability(later().frame)
    draws = [past().fit(seed=seed, most_rows=6000).probability(later().frame) for seed in range(4)]
    assert all(spearman(whole, drawn) > 0.9 for drawn in draws)
    # The level of one draw: the newer half of the drawn and of the events, in log-odds.
    error = np.sqrt(1 / 3000 + 1 / (past().event.sum() / 2))
    assert abs(np.mean([drawn.mean() for drawn in draws]) / whole.mean() - 1) < 3 * error / 2


# Groups, columns, seeds, storage.


def test_all_rows_of_a_customer_are_in_the_same_fold_and_events_are_shared_out():
    generator = np.random.default_rng(11)
    customer = generator.permutation(np.repeat(np.arange(200), 4)).astype(str)
    event = generator.random(800) < 0.1
    fold = DiscreteTimeHazard(folds=3)._dealt(event, customer)
    assert pd.Series(fold).groupby(customer).nunique().max() == 1
    with_event = pd.Series(event).groupby(customer).any()
    dealt = pd.Series(fold).groupby(customer).first()
    for members in (dealt, dealt[with_event]):
        assert np.ptp(members.value_counts().to_numpy()) <= 2


def test_calibration_by_customer_flattens_memorised_noise():
    """Four equal rows a customer, a random outcome: split by row, trees recognise the customer."""
    generator = np.random.default_rng(12)
    customer = np.tile(np.arange(400), 4)
    event = (generator.random(400) < 0.3)[customer]
    frame = pd.DataFrame(generator.normal(size=(400, 3))[customer], columns=["a", "b", "c"])
    learner = DiscreteTimeHazard(periods=1, least_leaf=4, leaves=31, penalty=0.0)
    time = np.ones(len(event), dtype=int)
    by_row = clone(learner).fit(frame, time, event)
    together = clone(learner).fit(frame, time, event, groups=customer)
    assert by_row.line_[1] > 0.8
    assert together.line_[1] < 0.3


def test_columns_are_found_by_name_and_others_are_not_read():
    frame = later().frame
    turned = frame[["noise", "age", "balance"]].assign(other="x")
    np.testing.assert_array_equal(model().hazard(turned), model().hazard(frame))
    with pytest.raises(ValueError, match="age"):
        model().probability(frame.drop(columns="age"))


def test_missing_values_and_columns_empty_in_a_fold_are_learned_from():
    world = World(2000, 13)
    hidden = np.random.default_rng(13).random(2000) < 0.3
    world.frame.loc[hidden, "balance"] = np.nan
    world.frame["rare"] = np.nan
    world.frame.loc[0, "rare"] = 1.0
    world.frame["empty"] = np.nan
    world.frame["kind"] = np.where(hidden, None, "known")
    found = world.fit(trees=5)
    assert np.isfinite(found.hazard(world.frame)).all()
    assert "empty" not in found.columns_


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    world = World(1500, 14)
    first, again, other = (
        world.fit(seed=seed, trees=5, most_rows=2000).hazard(world.frame) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_batch_is_scored_as_its_rows_are():
    frame = later().frame[:2500]
    one_by_one = np.concatenate([model().hazard(frame[:1]), model().hazard(frame[1:])])
    np.testing.assert_array_equal(model().hazard(frame), one_by_one)
    assert model().hazard(frame[:0]).shape == (0, PERIODS)
    assert model().probability(frame[:0]).shape == (0,)
    assert model().contributions(frame[:0])[0].shape == (0, 3)


def test_a_stored_model_gives_the_same_predictions_and_runs_no_code_on_load(tmp_path: Path):
    path = tmp_path / "model.skops"
    skops.io.dump(model(), path)
    loaded = skops.io.load(path, trusted=TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.hazard(later().frame), model().hazard(later().frame))
    np.testing.assert_array_equal(
        loaded.contributions(later().frame)[0], model().contributions(later().frame)[0]
    )


# The line.


def test_the_line_finds_level_and_slope_of_known_log_odds():
    generator = np.random.default_rng(15)
    raw = generator.normal(-4, 1, 200_000)
    y = (generator.random(len(raw)) < expit(0.7 + 1.2 * raw)).astype(int)
    level, slope = hazard_line(raw, y, np.ones(len(raw)))
    assert slope == pytest.approx(1.2, abs=0.06)
    assert level + slope * -4 == pytest.approx(0.7 + 1.2 * -4, abs=0.06)


def test_a_weight_of_three_is_three_rows():
    generator = np.random.default_rng(16)
    raw = generator.normal(-2, 1, 500)
    y = (generator.random(500) < expit(raw)).astype(int)
    weight = np.where(y == 1, 1, 3)
    written_out = hazard_line(np.repeat(raw, weight), np.repeat(y, weight), np.ones(weight.sum()))
    np.testing.assert_allclose(hazard_line(raw, y, weight), written_out, atol=1e-3)


def test_log_odds_that_run_against_the_outcome_are_not_inverted():
    raw = np.linspace(-6, -1, 5000)
    y = (np.random.default_rng(17).random(5000) < expit(-5 - raw)).astype(int)
    assert hazard_line(raw, y, np.ones(5000))[1] > 0


# What cannot be learned from.


@pytest.mark.parametrize(
    ("time", "event", "groups", "complaint"),
    [
        ([1, 2, 3], [True, False, True, False], None, "for each of 4 rows"),
        ([1, 2, 3, 4], [True, False, True], None, "for each of 4 rows"),
        ([1, 2, 3, np.nan], [True, False, True, False], None, "missing"),
        ([1, 2, 3, 4], [1.0, 0.0, np.nan, 0.0], None, "missing"),
        ([1, 2, 3, 4], [True, None, True, False], None, "missing"),
        ([1, 0, 3, 4], [True, False, True, False], None, "row 1 has 0"),
        ([1, 2, 13, 4], [True, False, True, False], None, "1 to 12; row 2 has 13"),
        ([1, 2, 3, 1.5], [True, False, True, False], None, "row 3 has 1.5"),
        ([1, 2, 3, 4], [False] * 4, None, "0 of 4"),
        ([1, 2, 3, 4], [True] * 4, None, "4 of 4"),
        ([1, 2, 3, 4], [True, False, False, False], None, "events of 1 groups"),
        ([1, 2, 3, 4], [True, True, False, False], ["a", "a", "b", "b"], "events of 1 groups"),
        ([1, 2, 3, 4], [True, True, False, False], ["a", "b"], "one group"),
        ([1, 2, 3, 4], [True, True, False, False], ["a", None, "b", "c"], "groups must not"),
    ],
)
def test_unusable_training_data_are_named(time, event, groups, complaint):
    frame = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0]})
    with pytest.raises(ValueError, match=complaint):
        DiscreteTimeHazard().fit(
            frame,
            np.array(time),
            np.array(event),
            None if groups is None else np.array(groups, dtype=object),
        )


def test_constant_features_alone_are_refused():
    frame = pd.DataFrame({"age": [20.0] * 6})
    with pytest.raises(ValueError, match="no feature differs"):
        DiscreteTimeHazard(periods=1).fit(frame, np.ones(6), np.arange(6) < 3)
