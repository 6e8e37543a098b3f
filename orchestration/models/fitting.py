"""Fits of a study's learners and rule: functions of samples, without warehouse or model store.

A long study is fitted in a process of its own (`own_process.OwnProcess`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from threadpoolctl import threadpool_limits

from orchestration.models.examination import Examination, Reach, examine, reach_of
from orchestration.models.study import Learner, Material, Sample, Study


@dataclass(frozen=True)
class Fitted:
    """A learner fitted at the deciding origin and for scoring, and examined."""

    learner: str
    model: Any
    twin: Any
    examination: Examination
    reach: Reach


def fit_learner(
    study: Study,
    material: Material,
    groups: Mapping[str, np.ndarray],
    learner: Learner,
    seed: int,
) -> Fitted:
    """Fit a learner at each origin and for scoring, and examine it."""
    with threadpool_limits(1, user_api="openmp"):
        twins = [
            _calibrated(learner.fit(split.train, seed), split.later) for split in material.splits
        ]
        model = learner.fit(material.refit, seed)
        _take_interval(model, twins[-1])
        return Fitted(
            learner.name,
            model,
            twins[-1],
            examine(study, twins, material, groups, seed),
            reach_of(study, model, material),
        )


def fit_rule(study: Study, material: Material, seed: int) -> Any:
    """The rule, fitted on data from before the evaluation period."""
    with threadpool_limits(1, user_api="openmp"):
        return _calibrated(study.rule.fit(material.train, seed), material.later)


def fit_scoring_rule(study: Study, material: Material, twin: Any, seed: int) -> Any:
    """The rule, fitted on all there is to learn from, with the intervals of `twin`."""
    with threadpool_limits(1, user_api="openmp"):
        rule = study.rule.fit(material.refit, seed)
        _take_interval(rule, twin)
        return rule


def _calibrated(model: Any, later: Sample) -> Any:
    """Calibrate the intervals of a model that has them on a period after its training."""
    if hasattr(model, "calibrate"):
        model.calibrate(later.features, later.y)
    return model


def _take_interval(model: Any, twin: Any) -> None:
    if hasattr(twin, "interval_"):
        model.interval_ = twin.interval_


def without_records(study: Study) -> Study:
    """The study without the functions that read the warehouse: another process cannot take those.

    Learners, rule, measures and the other functions must be picklable.
    """
    return replace(study, read=_not_here, newest=_not_here)


def _not_here() -> NoReturn:
    raise LookupError("the warehouse is not open in this process")
