"""Computes the evaluation and the model card of a version from one set of predictions.

The evaluation uses the twin, fitted before the evaluation period. Feature importance and the drift
of scores come from the scoring version, which is fitted again later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from expectations.suites.models import MOST_BIAS, MOST_CALIBRATION_ERROR, MOST_DRIFT
from ml.clv.interval import ConformalInterval
from ml.estimator import score_of
from ml.evaluation import metrics
from ml.evaluation.drift import BINS, drift_from_profile, profile_of, psi_noise
from ml.evaluation.fairness import LEAST_GROUP, LEAST_OUTCOMES, fairness_table, unfair
from ml.evaluation.metrics import Estimate
from ml.evaluation.plots import (
    calibration_figure,
    coverage_figure,
    gains_figure,
    importance_figure,
)
from ml.promotion import Bound, Level, Measure, defined
from orchestration.models.study import Judged, Material, Sample, Study

# Bounds of the policy: those of G3.
MOST = {"total_bias": MOST_BIAS, "calibration_error": MOST_CALIBRATION_ERROR}
MOST_FAIRNESS_GAP = 0.25
# A total may be off by this share more than that of what scores otherwise.
LEVEL_MARGIN = 0.1
FAIRNESS = "unfair_groups"
# What a kind of customer is judged by: its level, and how well its customers are ranked.
BIAS, RANKING = "total_bias", "auc"
OF_KIND = (
    *("customer_kind", "customers", "outcomes", "bias", "bias_low", "bias_high"),
    *("metric", "value", "low", "high", "note"),
)
UNKNOWN = Estimate(np.nan, np.nan, np.nan)
ENOUGH = f"{LEAST_GROUP} with {LEAST_OUTCOMES} are needed"
EXPLAINED_ROWS = 2_000
SCORE = "score"


@dataclass(frozen=True)
class Examination:
    """Of a twin on the evaluation period; frames as they are logged, None where undefined."""

    judged: Judged
    by_cutoff: pd.DataFrame
    deciles: pd.DataFrame | None
    coverage: pd.DataFrame | None
    interval_coverage: Estimate | None
    fairness: pd.DataFrame | None
    unfair: Sequence[str]
    by_kind: pd.DataFrame | None = None

    @property
    def judges_fairness(self) -> bool:
        """Whether a group is large enough to judge."""
        return self.fairness is not None and bool(self.fairness["calibration_gap"].notna().any())


def examine(
    study: Study,
    twins: Sequence[Any],
    material: Material,
    groups: Mapping[str, np.ndarray],
    seed: int,
) -> Examination:
    """Judge the twins of the origins, of which the last decides; `groups` names the groups to be
    treated alike, row by row of its evaluation."""
    judged_by = [
        study.judged(twin, split.later) for twin, split in zip(twins, material.splits, strict=True)
    ]
    by_cutoff = pd.DataFrame(
        [
            {"evaluation": split.later.cutoffs[0], "rows": len(split.later)}
            | _figures(study, judged)
            for judged, split in zip(judged_by, material.splits, strict=True)
        ]
    )
    later, judged = material.later, judged_by[-1]
    if study.kind == "label":
        return Examination(judged, by_cutoff, None, None, None, None, ())
    y, score, _ = judged
    coverage, share = None, None
    if hasattr(twins[-1], "interval_"):
        coverage, share = _coverage(twins, material, seed)
    fairness = _fairness(study, y, score, groups, later.customers, seed)
    return Examination(
        judged,
        by_cutoff,
        metrics.decile_table(y, score),
        coverage,
        share,
        fairness,
        tuple(unfair(fairness, MOST_FAIRNESS_GAP)),
        by_kind(study, judged, later, seed),
    )


def _fairness(
    study: Study,
    y: np.ndarray,
    score: np.ndarray,
    groups: Mapping[str, np.ndarray],
    customers: np.ndarray,
    seed: int,
) -> pd.DataFrame:
    assert study.kind != "label"
    # The bias in total has a bound of its own: what is left is between the groups.
    level = y.sum() / score.sum() if y.sum() > 0 and score.sum() > 0 else 1.0
    # Raised to the level of what happened, a high probability must not pass one.
    most = 1.0 if study.kind == "probability" else np.inf
    return fairness_table(
        *(y, np.minimum(level * score, most), groups),
        kind=study.kind,
        seed=seed,
        clusters=customers,
    )


def unfair_beside(
    study: Study,
    examination: Examination,
    standing: np.ndarray,
    groups: Mapping[str, np.ndarray],
    seed: int,
) -> tuple[str, ...]:
    """The unfair groups of an examination to whom `standing`, the scores of what scores otherwise,
    is not as unfair."""
    if not examination.unfair or examination.fairness is None:
        return ()
    y, _, customers = examination.judged
    before = _fairness(study, y, standing, groups, customers, seed)
    return tuple(unfair(examination.fairness, MOST_FAIRNESS_GAP, before))


def by_kind(study: Study, judged: Judged, sample: Sample, seed: int) -> pd.DataFrame | None:
    """Level and ranking of each kind of customer, with 90 % intervals; None where kinds are unknown
    or the study has no level.

    Returns
    -------
    frame with a row for each kind and the columns `OF_KIND`; outcomes are rows with one other than
    0. Of kinds with fewer customers or outcomes than a group of `fairness_table` needs, figures are
    empty, and the note begins with `not judged`.
    """
    kinds, (y, score, customers) = sample.kinds, judged
    if kinds is None or study.kind == "label":
        return None
    ranking = RANKING if study.kind == "probability" else study.deciding
    rows = []
    for kind in sorted(set(kinds)):
        of_kind = kinds == kind
        actual, owners = y[of_kind], customers[of_kind]
        count, outcomes = len(set(owners)), int((actual != 0).sum())
        is_judged = count >= LEAST_GROUP and outcomes >= LEAST_OUTCOMES
        found: dict[str, Estimate] = {}
        if is_judged:
            wanted = [one for one in study.measures if one.name in (BIAS, ranking)]
            judges = {one.name: one.metric for one in defined(wanted, actual)}
            found = metrics.estimate(judges, actual, score[of_kind], seed=seed, groups=owners)
        bias, rank = (found.get(name, UNKNOWN) for name in (BIAS, ranking))
        note = f"{count} customers with {outcomes} outcomes"
        rows.append(
            (kind, count, outcomes, *(bias.value, bias.low, bias.high))
            + (ranking if ranking in found else None, *(rank.value, rank.low, rank.high))
            + (note if is_judged else f"not judged: {note}; {ENOUGH}",)
        )
    return pd.DataFrame(rows, columns=list(OF_KIND))


def _figures(study: Study, judged: Judged) -> dict[str, float]:
    y, score, _ = judged
    return {measure.name: measure.metric(y, score) for measure in study.measures}


def _coverage(twins: Sequence[Any], material: Material, seed: int) -> tuple[pd.DataFrame, Estimate]:
    """Coverage of intervals calibrated on an earlier period, as in use. With one period only, one
    half of the customers calibrates the intervals of the other half."""
    later = material.later
    y, predicted = later.y, twins[-1].predict(later.features)
    nominal = twins[-1].interval_.coverage
    if len(twins) > 1:
        interval, judged = twins[-2].interval_, np.full(len(y), True)
    else:
        judged = pd.util.hash_array(later.customers.astype(object)) % 2 == 1
        interval = ConformalInterval(nominal).fit(predicted[~judged], y[~judged])
    point, low, high = interval.around(predicted[judged]).T
    return (
        metrics.coverage_by_decile(y[judged], point, low, high),
        metrics.coverage_estimate(y[judged], low, high, seed, groups=later.customers[judged]),
    )


@dataclass(frozen=True)
class Reach:
    """The scoring version on the customers to score, compared with its training data."""

    profile: pd.DataFrame
    score_profile: pd.DataFrame
    drift: pd.DataFrame | None
    score_drift: float | None
    importance: pd.Series | None


def reach_of(study: Study, model: Any, material: Material) -> Reach:
    """Profile of the training data, drift since, and which features move the scores."""
    profile = profile_of(material.refit.features[list(model.columns_)])
    scores = score_profile(model, material)
    importance = None
    if hasattr(model, "contributions"):
        moved, names = model.contributions(material.refit.features.tail(EXPLAINED_ROWS))
        importance = pd.Series(np.abs(moved).mean(axis=0), index=names)
    if material.scored is None:
        return Reach(profile, scores, None, None, importance)
    now = scored(model, material.scored)
    newest = int((material.refit.cutoffs == material.refit.cutoffs[-1]).sum())
    drifted = float(drift_from_profile(scores, now)["psi"].iloc[0])
    # An index that chance alone exceeds once in twenty is not drift: populations may be small.
    if drifted <= psi_noise(BINS, newest, len(now)):
        drifted = 0.0
    return Reach(
        profile,
        scores,
        drift_from_profile(profile, material.scored),
        drifted,
        importance,
    )


def score_profile(model: Any, material: Material) -> pd.DataFrame:
    """Profile of the scores of the newest cohort learned from."""
    newest = material.refit.cutoffs == material.refit.cutoffs[-1]
    return profile_of(scored(model, material.refit.features[newest]))


def scored(model: Any, features: pd.DataFrame) -> pd.DataFrame:
    """A model's predictions, as a frame with the one column `score`."""
    return pd.DataFrame({SCORE: score_of(model, features)})


def bounds_of(
    examination: Examination,
    measures: Sequence[Measure],
    reach: Reach,
    seed: int,
    unfair: Sequence[str],
) -> tuple[Bound, ...]:
    """What must hold besides being ahead; a figure breaks its bound beyond chance or not at all.

    `unfair`: the groups to whom the model is, and what scores otherwise is not as unfair.
    """
    y, score, customers = examination.judged
    judged = {one.name: one.metric for one in measures if one.name in MOST}
    estimates = metrics.estimate(judged, y, score, seed=seed, groups=customers)
    bounds = [
        Bound(name, _least(one), MOST[name], most=max(abs(one.low), abs(one.high)))
        for name, one in estimates.items()
    ]
    if reach.score_drift is not None:
        bounds.append(Bound("score_drift", reach.score_drift, MOST_DRIFT))
    unfair_groups = float(len(unfair))
    bounds.append(
        Bound(
            FAIRNESS,
            unfair_groups,
            0.0,
            "; ".join(unfair),
            # Any number of groups may be treated unfairly where none is large enough to judge.
            most=unfair_groups if examination.judges_fairness else np.inf,
        )
    )
    return tuple(bounds)


def level_of(study: Study) -> Level | None:
    """What must be shown of the level of a study that feeds money; None for others."""
    if not study.feeds_money:
        return None
    (bias,) = (measure for measure in study.measures if measure.name == "total_bias")
    return Level(bias, LEVEL_MARGIN)


def _least(estimate: Estimate) -> float:
    """The smallest size that the interval still allows."""
    if estimate.low <= 0 <= estimate.high:
        return 0.0
    return min(abs(estimate.low), abs(estimate.high))


def figures_of(
    study: Study,
    examination: Examination,
    rule_score: np.ndarray,
    reach: Reach,
    nominal: float | None,
) -> dict[str, Any]:
    """Pictures, by name."""
    y, score, _ = examination.judged
    found: dict[str, Any] = {}
    if study.kind != "label":
        found["calibration"] = calibration_figure(y, score, study.unit)
        if y.sum() > 0:
            found["gains"] = gains_figure(y, {"model": score, "rule": rule_score})
    if examination.coverage is not None and nominal is not None:
        found["coverage"] = coverage_figure(examination.coverage, nominal)
    if reach.importance is not None and len(reach.importance):
        found["importance"] = importance_figure(
            list(reach.importance.index), reach.importance.to_numpy()
        )
    return found
