"""`high_value`: who will come into the top tier though not in it now."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.base_rate import ColumnRate
from ml.clv.model import PACE
from ml.hazard import FORMAT, DiscreteTimeHazard
from orchestration.models.datasets import BELOW_TOP, TOP_TIER, Cohorts
from orchestration.models.records import TOO_SHORT, Records
from orchestration.models.studies.probability import PROBABILITY_MEASURES
from orchestration.models.study import Learner, Off, Sample, Study


def high_value_study(records: Records) -> Study | Off:
    """Boosted probability of entering; the rule is the rate by contribution so far."""
    if records.plan is None:
        return Off("high_value", TOO_SHORT)
    plan = records.plan

    def boosted(sample: Sample, seed: int) -> Any:
        return DiscreteTimeHazard(seed=seed, periods=1, least_leaf=20).fit(
            sample.features, np.ones(len(sample)), sample.y > 0, sample.customers
        )

    def contribution(sample: Sample, seed: int) -> Any:
        return ColumnRate(PACE, classes=50, prior=5).fit(sample.features, sample.y)

    return Study(
        name="high_value",
        purpose=(
            f"Probability that a customer below the top value tier enters it within "
            f"{plan.horizon} months. For finding high-profit customers before they are."
        ),
        horizon=plan.horizon,
        wanted=records.wanted(FORMAT),
        read=lambda: records.material(_enters, BELOW_TOP),
        newest=lambda: records.newest(_enters, BELOW_TOP),
        learners=(Learner("boosted", boosted),),
        rule=Learner("rate_by_contribution", contribution),
        measures=PROBABILITY_MEASURES,
        deciding="auc",
        kind="probability",
        unit="probability",
        limits=("the top tier is a share of all: others' fall is one's rise",),
        note=records.horizon_note,
    )


def _enters(cohorts: Cohorts) -> np.ndarray:
    return (cohorts.outcome["best_tier_number"] == TOP_TIER).to_numpy(dtype=float)
