"""What a version is judged by: figures of each origin, intervals, groups, reach and bounds."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import date
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from ml.base_rate import ColumnRate
from ml.clv.interval import ConformalInterval
from ml.clv.model import LastPeriodAgain
from ml.evaluation import metrics
from ml.evaluation.drift import population_stability_index
from ml.evaluation.metrics import estimate
from ml.measures import LAST_PERIOD
from ml.promotion import Measure
from orchestration.models.examination import (
    Examination,
    Reach,
    bounds_of,
    by_kind,
    examine,
    figures_of,
    level_of,
    reach_of,
    unfair_beside,
)
from orchestration.models.study import Learner, Material, Sample, Split, Study

SEED = 3
LOG_SCORE = Measure("log_score", metrics.log_score, "lower")
BRIER = Measure("brier", metrics.brier, "lower")
BIAS = Measure("total_bias", metrics.total_bias, "zero")
CALIBRATION = Measure("calibration_error", metrics.expected_calibration_error, "zero")
ERROR = Measure("mean_absolute_error", metrics.mean_absolute_error, "lower")
DECEMBER, MARCH, JUNE = date(2023, 12, 1), date(2024, 3, 1), date(2024, 6, 1)


def not_read() -> NoReturn:
    raise AssertionError("the samples are given")


def study(**changed: Any) -> Study:
    declared: dict[str, Any] = {
        "name": "any",
        "purpose": "For the tests.",
        "horizon": 6,
        "wanted": {},
        "read": not_read,
        "newest": not_read,
        "learners": (),
        "rule": Learner("rule", lambda sample, seed: None),
        "measures": (LOG_SCORE, BRIER, CALIBRATION, BIAS),
        "deciding": "log_score",
        "kind": "probability",
        "unit": "probability",
    }
    return Study(**{**declared, **changed})


def people(cutoff: date, n: int, seed: int, rate: float = 1.0) -> Sample:
    """People whose event is as likely as their column `chance`, times `rate`."""
    generator = np.random.default_rng(seed)
    chance = generator.uniform(0.02, 0.6, n)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(n)],
            "cutoff": cutoff,
            "chance": chance,
            "noise": generator.uniform(0, 1, n),
            LAST_PERIOD: generator.lognormal(4, 1, n),
        }
    )
    y = (generator.random(n) < chance * rate).astype(float)
    return Sample(frame, y, pd.DataFrame({"event": y}))


def money(cutoff: date, n: int, seed: int, spread: float) -> Sample:
    """Who bring what they brought, give or take."""
    sample = people(cutoff, n, seed)
    error = np.random.default_rng(seed + 100).normal(0, spread, n)
    return Sample(sample.frame, sample.frame[LAST_PERIOD].to_numpy() + error, sample.outcome)


class ChanceColumn(BaseEstimator):
    """Predicts the column `chance`, times `factor`."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.columns_ = ["chance"]

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return self.factor * frame["chance"].to_numpy()


def material(*splits: tuple[Sample, Sample], scored: pd.DataFrame | None = None) -> Material:
    made = tuple(Split(*split) for split in splits)
    return Material(made, made[-1].later, scored)


def alike(sample: Sample) -> dict[str, np.ndarray]:
    return {"sex": np.where(np.arange(len(sample)) % 2 == 0, "F", "M")}


def examined(
    one: Study, twins: list[Any], given: Material, groups: dict[str, np.ndarray] | None = None
) -> Examination:
    return examine(one, twins, given, groups or alike(given.later), SEED)


# Origins.


def test_each_origin_is_judged_by_its_own_twin_on_its_own_later_rows():
    splits = [
        (people(DECEMBER, 50, 1), people(MARCH, 300, 2)),
        (people(DECEMBER, 50, 3), people(JUNE, 400, 4)),
    ]
    found = examined(study(), [ChanceColumn(0.5), ChanceColumn(0.9)], material(*splits))
    assert found.by_cutoff[["evaluation", "rows"]].values.tolist() == [
        *(["2024-03", 300], ["2024-06", 400]),
    ]
    for row, factor, (_, later) in zip(
        found.by_cutoff.to_dict("records"), (0.5, 0.9), splits, strict=True
    ):
        predicted = factor * later.frame["chance"]
        assert row["log_score"] == pytest.approx(log_loss(later.y, predicted))
        assert row["brier"] == pytest.approx(brier_score_loss(later.y, predicted))
        assert row["total_bias"] == pytest.approx(predicted.sum() / later.y.sum() - 1)


def test_the_last_origin_decides():
    splits = [
        (people(DECEMBER, 50, 1), people(MARCH, 300, 2)),
        (people(DECEMBER, 50, 3), people(JUNE, 400, 4)),
    ]
    found = examined(study(), [ChanceColumn(0.5), ChanceColumn(0.9)], material(*splits))
    later = splits[-1][1]
    y, score, customers = found.judged
    np.testing.assert_array_equal(y, later.y)
    np.testing.assert_allclose(score, 0.9 * later.frame["chance"])
    np.testing.assert_array_equal(customers, later.frame["customer_id"])
    assert found.deciles is not None
    assert found.deciles["customers"].sum() == 400
    assert found.deciles["predicted"].is_monotonic_increasing


# Intervals.


def rule_with(below: float, above: float) -> LastPeriodAgain:
    """The last period again, with an interval of its own making."""
    model = LastPeriodAgain()
    model.interval_ = ConformalInterval(0.9)
    model.interval_.edges_ = np.array([])
    model.interval_.below_, model.interval_.above_ = np.array([below]), np.array([above])
    return model


def test_coverage_is_of_the_intervals_that_an_earlier_origin_set():
    """Errors are normal with deviation 10: ± 10 holds 68 of 100, not the last twin's interval."""
    splits = [
        (money(DECEMBER, 50, 1, 10), money(MARCH, 50, 2, 10)),
        (money(DECEMBER, 50, 3, 10), money(JUNE, 4000, 4, 10)),
    ]
    twins = [rule_with(-10, 10), rule_with(-1000, 1000)]
    one = study(kind="value", measures=(ERROR,), deciding="mean_absolute_error")
    found = examined(one, twins, material(*splits))
    assert found.interval_coverage is not None and found.coverage is not None
    assert found.interval_coverage.value == pytest.approx(0.6827, abs=0.02)
    assert found.interval_coverage.low < 0.6827 < found.interval_coverage.high
    assert found.coverage["customers"].sum() == 4000
    assert found.coverage["coverage"].to_numpy() == pytest.approx(np.full(10, 0.6827), abs=0.08)


def test_with_one_origin_half_of_the_customers_set_the_intervals_of_the_others():
    """The twin's own interval, set by all of them, would prove nothing."""
    later = money(JUNE, 4000, 4, 10)
    one = study(kind="value", measures=(ERROR,), deciding="mean_absolute_error")
    twin = rule_with(0, 0)
    found = examined(one, [twin], material((money(DECEMBER, 50, 1, 10), later)))
    assert found.interval_coverage is not None and found.coverage is not None
    assert found.interval_coverage.value == pytest.approx(0.9, abs=0.02)
    judged = found.coverage["customers"].sum()
    assert 1800 < judged < 2200
    # Rows of one customer are all on one side: a customer more often there adds none to the other.
    twice = Sample(
        pd.concat([later.frame, later.frame], ignore_index=True),
        np.tile(later.y, 2),
        pd.concat([later.outcome] * 2, ignore_index=True),
    )
    doubled = examined(one, [twin], material((later, twice)))
    assert doubled.coverage is not None
    assert doubled.coverage["customers"].sum() == 2 * judged


def test_a_model_without_intervals_has_no_coverage():
    later = people(JUNE, 300, 4)
    found = examined(study(), [ChanceColumn()], material((later, later)))
    assert found.coverage is None and found.interval_coverage is None


# Groups.


def split_by_sex(n: int, women: float, men: float) -> tuple[Sample, dict[str, np.ndarray]]:
    """People whose events are `women` or `men` times as frequent as `chance`."""
    sample = people(JUNE, n, 5)
    groups = alike(sample)
    chance = sample.frame["chance"].to_numpy() * np.where(groups["sex"] == "F", women, men)
    y = (np.random.default_rng(6).random(n) < chance).astype(float)
    return Sample(sample.frame, y, sample.outcome), groups


def test_groups_with_wrong_predictions_are_named():
    later, groups = split_by_sex(2000, 1.5, 0.5)
    found = examined(study(), [ChanceColumn()], material((later, later)), groups)
    assert len(found.unfair) == 2
    assert found.unfair[0].startswith("sex F (1,000 customers): predictions lie below outcomes")
    assert found.unfair[1].startswith("sex M (1,000 customers): predictions lie above outcomes")


def test_groups_to_whom_what_scores_otherwise_is_as_unfair_do_not_count():
    later, groups = split_by_sex(2000, 1.5, 0.5)
    found = examined(study(), [ChanceColumn()], material((later, later)), groups)
    _, score, _ = found.judged
    fair = score * np.where(groups["sex"] == "F", 1.5, 0.5)
    assert unfair_beside(study(), found, fair, groups, SEED) == found.unfair
    assert unfair_beside(study(), found, score, groups, SEED) == ()
    # Only the level differs, which has a bound of its own.
    assert unfair_beside(study(), found, score / 2, groups, SEED) == ()


def test_a_bias_equal_in_all_groups_is_not_unfair():
    """The bias in total has a bound of its own."""
    later, groups = split_by_sex(2000, 0.5, 0.5)
    found = examined(study(), [ChanceColumn()], material((later, later)), groups)
    assert metrics.total_bias(later.y, found.judged[1]) > 0.5
    assert found.unfair == ()


def test_probabilities_rescaled_to_the_observed_level_do_not_exceed_one():
    """Half of what happens is foreseen, but of some with near certainty."""
    later, groups = split_by_sex(2000, 1.0, 1.0)
    later.frame.loc[:99, "chance"] = 1.9
    found = examined(study(), [ChanceColumn(0.5)], material((later, later)), groups)
    y, score, _ = found.judged
    assert y.sum() / score.sum() * score.max() > 1
    assert found.fairness is not None
    assert found.fairness["mean_score"].between(0, 1).all()
    assert found.unfair == ()


def test_labels_have_no_deciles_coverage_or_fairness():
    def judged(model: Any, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = (sample.frame["chance"] > 0.3).to_numpy().astype(float)
        return sample.y, labels, sample.customers

    later = people(JUNE, 300, 4)
    one = study(kind="label", judged=judged, measures=(BRIER,), deciding="brier")
    found = examined(one, [ChanceColumn()], material((later, later)))
    assert found.by_cutoff["brier"].tolist() == pytest.approx(
        [np.mean((later.y - (later.frame["chance"] > 0.3)) ** 2)]
    )
    empty = (found.deciles, found.coverage, found.interval_coverage, found.fairness)
    assert empty == (None,) * 4 and found.unfair == ()


# Kinds.


def with_kinds(n: int, seed: int) -> Sample:
    """People; sole traders have twice the chance, and of firms there are too few."""
    sample = people(JUNE, n, seed)
    kind = np.repeat(["person", "sole_trader", "corporate"], [n - 350, 300, 50])
    kind = np.where(np.arange(n) < 5, None, kind.astype(object))
    chance = sample.frame["chance"].to_numpy() * np.where(kind == "sole_trader", 2, 1)
    y = (np.random.default_rng(seed + 1).random(n) < np.minimum(chance, 1)).astype(float)
    return Sample(sample.frame.assign(customer_kind=kind), y, sample.outcome)


def test_each_kind_with_enough_customers_has_its_level_and_ranking():
    later = with_kinds(2000, 5)
    ranked = study(measures=(LOG_SCORE, BIAS, Measure("auc", metrics.auc, "higher")))
    found = examined(ranked, [ChanceColumn()], material((later, later))).by_kind
    assert found is not None and found["customer_kind"].is_monotonic_increasing
    by_name = found.set_index("customer_kind")
    score, kinds = later.frame["chance"].to_numpy(), later.kinds
    for kind in ("person", "sole_trader"):
        row, of_kind = by_name.loc[kind], kinds == kind
        assert row["bias"] == pytest.approx(score[of_kind].sum() / later.y[of_kind].sum() - 1)
        assert row["value"] == pytest.approx(roc_auc_score(later.y[of_kind], score[of_kind]))
        assert row["metric"] == "auc" and not row["note"].startswith("not judged")
        assert row["low"] < row["value"] < row["high"]
        assert row["customers"] == of_kind.sum() and row["outcomes"] == later.y[of_kind].sum()
    assert by_name.loc["sole_trader", "bias_high"] < -0.25
    assert -0.1 < by_name.loc["person", "bias_low"] < by_name.loc["person", "bias_high"] < 0.2
    for kind, count in (("corporate", 50), ("unknown", 5)):
        row = by_name.loc[kind]
        outcomes = int(later.y[kinds == kind].sum())
        assert row["note"] == (
            f"not judged: {count} customers with {outcomes} outcomes; 100 with 10 are needed"
        )
        assert row[["bias", "bias_low", "bias_high", "value", "low", "high"]].isna().all()


def test_a_kind_of_many_customers_with_few_outcomes_is_not_judged():
    later = with_kinds(2000, 5)
    later.y[np.flatnonzero(later.kinds == "sole_trader")[9:]] = 0
    found = examined(study(), [ChanceColumn()], material((later, later))).by_kind
    assert found is not None
    notes = found.set_index("customer_kind")["note"]
    assert notes["sole_trader"].startswith("not judged: 300 customers")
    assert notes["person"].startswith("1645 customers with ")


def test_amounts_are_ranked_by_the_deciding_measure_and_labels_have_no_kinds():
    given = money(JUNE, 400, 4, 10)
    later = replace(given, frame=given.frame.assign(customer_kind="person"))
    one = study(
        kind="value", measures=(Measure("gini", metrics.gini, "higher"), BIAS), deciding="gini"
    )
    (row,) = by_kind(one, (later.y, later.y, later.customers), later, SEED).to_dict("records")
    assert (row["metric"], row["value"]) == ("gini", pytest.approx(1))
    assert row["bias"] == row["bias_low"] == row["bias_high"] == pytest.approx(0)
    label = study(kind="label")
    assert by_kind(label, (later.y, later.y, later.customers), later, SEED) is None
    assert by_kind(one, (given.y, given.y, given.customers), given, SEED) is None


# Reach.


def two_months() -> Sample:
    """Learned from: an earlier month in which chances were low, and a later one."""
    early, late = people(MARCH, 400, 7), people(JUNE, 600, 8)
    early.frame["chance"] /= 10
    return Sample(
        pd.concat([early.frame, late.frame], ignore_index=True),
        np.concatenate([early.y, late.y]),
        pd.concat([early.outcome, late.outcome], ignore_index=True),
    )


def test_the_scores_of_now_are_held_against_those_of_the_newest_month_learned_from():
    refit = two_months()
    newest = refit.frame["chance"][refit.cutoffs == "2024-06"]
    assert len(newest) == 600
    for factor, drifted in ((1.0, False), (0.4, True)):
        now = people(JUNE, 2000, 9).features.assign(
            chance=lambda frame, by=factor: frame["chance"] * by
        )
        split = Split(refit, refit)
        reach = reach_of(study(), ChanceColumn(), Material((split,), refit, now))
        # What is within chance is none.
        index = population_stability_index(newest, now["chance"])
        expected = index if drifted else 0.0
        assert reach.score_drift == pytest.approx(expected) and (index > 0.25) is drifted
        assert reach.drift is not None
        # Only what the model reads.
        assert reach.drift["feature"].tolist() == ["chance"]
        assert reach.drift["psi"].iloc[0] == pytest.approx(
            population_stability_index(refit.frame["chance"], now["chance"])
        )


def test_drift_is_unknown_where_no_customer_is_scored():
    refit = two_months()
    reach = reach_of(study(), ChanceColumn(), Material((Split(refit, refit),), refit, None))
    assert (reach.drift, reach.score_drift, reach.importance) == (None, None, None)
    assert set(reach.profile["feature"]) == {"chance"}
    assert set(reach.score_profile["feature"]) == {"score"}


def test_importance_is_the_mean_size_of_a_features_contribution():
    refit = two_months()
    model = ColumnRate("chance", edges=(0.3,), prior=1e-9).fit(refit.features, refit.y)
    reach = reach_of(study(), model, Material((Split(refit, refit),), refit, None))
    above = refit.frame["chance"] >= 0.3

    def odds(y: np.ndarray) -> float:
        return float(np.log(y.mean() / (1 - y.mean())))

    expected = above.mean() * abs(odds(refit.y[above]) - odds(refit.y)) + (1 - above.mean()) * abs(
        odds(refit.y[~above]) - odds(refit.y)
    )
    assert reach.importance is not None
    assert reach.importance.to_dict() == pytest.approx({"chance": expected})


# Bounds.


def bounds(
    later: Sample,
    factor: float,
    drift: float | None,
    unfair: tuple[str, ...] = (),
    gaps: tuple[float, ...] = (0.0,),
) -> dict[str, Any]:
    judged = (later.y, factor * later.frame["chance"].to_numpy(), later.customers)
    fairness = pd.DataFrame({"calibration_gap": gaps})
    examination = Examination(judged, pd.DataFrame(), None, None, None, fairness, unfair)
    reach = Reach(pd.DataFrame(), pd.DataFrame(), None, drift, None)
    found = bounds_of(examination, (LOG_SCORE, CALIBRATION, BIAS), reach, SEED, unfair)
    return {bound.name: bound for bound in found}


@pytest.mark.parametrize(
    ("customers", "factor", "holds"),
    [
        (3000, 1.0, True),
        # 30 % off on the whole: beyond a quarter, though of few customers that may be chance.
        (150, 1.35, True),
        (3000, 1.6, False),
        (3000, 0.5, False),
    ],
)
def test_a_bias_breaks_its_bound_beyond_chance_or_not_at_all(customers, factor, holds):
    later = people(JUNE, customers, 10)
    found = bounds(later, factor, None)
    score = factor * later.frame["chance"].to_numpy()
    measured = estimate(
        {"total_bias": metrics.total_bias},
        *(later.y, score),
        seed=SEED,
        groups=later.customers,
    )["total_bias"]
    assert found["total_bias"].holds is holds
    inside = measured.low <= 0 <= measured.high
    nearest = 0.0 if inside else min(abs(measured.low), abs(measured.high))
    assert found["total_bias"].value == pytest.approx(nearest)
    assert (found["total_bias"].limit, found["calibration_error"].limit) == (0.25, 0.1)


def test_only_measures_with_a_limit_are_bounds():
    found = bounds(people(JUNE, 500, 11), 1.0, None)
    assert set(found) == {"total_bias", "calibration_error", "unfair_groups"}


def test_drift_of_the_scores_and_unfair_groups_are_bounds():
    later = people(JUNE, 500, 11)
    for drift, holds in ((0.25, True), (0.26, False), (float("nan"), False)):
        assert bounds(later, 1.0, drift)["score_drift"].holds is holds
    fair, unfair = bounds(later, 1.0, None), bounds(later, 1.0, None, ("sex F: low", "sex M: high"))
    assert fair["unfair_groups"].holds
    assert not unfair["unfair_groups"].holds
    assert unfair["unfair_groups"].complaint == "sex F: low; sex M: high"


@pytest.mark.parametrize("gaps", [(), (float("nan"),)])
def test_fairness_of_no_group_that_is_large_enough_is_not_judged(gaps):
    later = people(JUNE, 500, 11)
    assert bounds(later, 1.0, None)["unfair_groups"].verdict == "passed"
    assert bounds(later, 1.0, None, gaps=gaps)["unfair_groups"].verdict == "not judged"


@pytest.mark.parametrize(
    ("customers", "factor", "verdict"),
    [(3000, 1.0, "passed"), (150, 1.35, "not judged"), (3000, 1.6, "refused")],
)
def test_a_bias_passes_where_its_whole_interval_is_within_the_bound(customers, factor, verdict):
    found = bounds(people(JUNE, customers, 10), factor, None)
    assert found["total_bias"].verdict == verdict


def test_the_level_of_studies_that_feed_money_must_be_shown():
    one = study(kind="probability", measures=(LOG_SCORE, BIAS), deciding=LOG_SCORE.name)
    assert level_of(one) is None
    level = level_of(dataclasses.replace(one, feeds_money=True))
    assert level is not None and level.bias is BIAS


# Pictures.


def test_every_available_table_has_a_picture():
    refit = two_months()
    later = money(JUNE, 800, 4, 10)
    one = study(kind="value", measures=(ERROR,), deciding="mean_absolute_error")
    twin = LastPeriodAgain().fit(later.features, later.y).calibrate(later.features, later.y)
    examination = examined(one, [twin], material((later, later)))
    reach = reach_of(one, twin, Material((Split(later, later),), later, None))
    assert set(figures_of(one, examination, later.y, reach, 0.9)) == {
        *("calibration", "gains", "coverage", "importance"),
    }
    # Without intervals, reasons or anything brought, there is less.
    nobody = Sample(refit.frame, np.zeros(len(refit)), refit.outcome)
    poor = examined(study(), [ChanceColumn()], material((nobody, nobody)))
    reach = reach_of(study(), ChanceColumn(), Material((Split(refit, refit),), refit, None))
    assert set(figures_of(study(), poor, nobody.y, reach, None)) == {"calibration"}
