"""`attrition`: who will hold no account any more."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml.attrition.model import FORMAT, AttritionModel
from ml.base_rate import ColumnRate
from orchestration.models.datasets import HOLDERS, Cohorts
from orchestration.models.records import TOO_SHORT, Records
from orchestration.models.studies.probability import PROBABILITY_MEASURES, times
from orchestration.models.study import Learner, Off, Sample, Study


def attrition_study(records: Records) -> Study | Off:
    """Monthly hazard of leaving; the rule is the rate by days without a booking of one's own."""
    if records.plan is None:
        return Off("attrition", TOO_SHORT)
    plan = records.plan

    def hazard(sample: Sample, seed: int) -> Any:
        time, event = times(sample, "months_to_exit", plan.horizon)
        return AttritionModel(seed=seed, periods=plan.horizon).fit(
            sample.features, time, event, sample.customers, sample.further
        )

    def lines(cutoffs: tuple[date, ...]) -> pd.DataFrame:
        return records.lines_held(cutoffs, HOLDERS)

    def idle(sample: Sample, seed: int) -> Any:
        return ColumnRate("days_since_active").fit(sample.features, sample.y)

    return Study(
        name="attrition",
        purpose=(
            f"Probability that a customer who holds an account now closes the last one within "
            f"{plan.horizon} months, month by month. For deciding whom to keep, weighed by the "
            "value at risk; not for treating customers worse."
        ),
        horizon=plan.horizon,
        wanted=records.wanted(FORMAT),
        read=lambda: records.material(_leaves, HOLDERS, lines),
        newest=lambda: records.newest(_leaves, HOLDERS),
        learners=(Learner("hazard", hazard),),
        rule=Learner("rate_by_days_since_active", idle),
        measures=PROBABILITY_MEASURES,
        deciding="log_score",
        kind="probability",
        unit="probability",
        limits=("leaving is closing every account: who only stops using them is not counted",),
        note=records.horizon_note,
    )


def _leaves(cohorts: Cohorts) -> np.ndarray:
    return cohorts.outcome["months_to_exit"].notna().to_numpy(dtype=float)
