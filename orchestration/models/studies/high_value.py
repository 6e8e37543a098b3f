"""`high_value`: which customers will enter the top value tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from expectations.suites.probability_scores import ProbabilityJudge
from orchestration.models.cutoffs import TOO_SHORT
from orchestration.models.declaration import COHORTS, Column, Declaration
from orchestration.models.study import KIND, Learner, Off, Sample, Study

if TYPE_CHECKING:
    import numpy as np

    from orchestration.models.datasets import Cohorts
    from orchestration.models.records import Records

PURPOSE = (
    "Probability that a customer below the top value tier enters it within {0} months. For finding "
    "high-profit customers before they are."
)
LIMITS = ("the top tier is a share of all: others' fall is one's rise",)


def high_value_study(records: Records) -> Study | Off:
    """Boosted probability of entering; the rule is the rate by contribution so far."""
    import numpy as np

    from ml.base_rate import ColumnRate
    from ml.hazard import FORMAT, DiscreteTimeHazard
    from ml.measures import PACE
    from orchestration.models.datasets import BELOW_TOP
    from orchestration.models.studies.measures import PROBABILITY_MEASURES

    if records.plan is None:
        return Off("high_value", TOO_SHORT)
    plan = records.plan

    def boosted(sample: Sample, seed: int) -> Any:
        return DiscreteTimeHazard(seed=seed, periods=1, least_leaf=20, by=KIND).fit(
            sample.features, np.ones(len(sample)), sample.y > 0, sample.customers
        )

    def contribution(sample: Sample, seed: int) -> Any:
        return ColumnRate(PACE, classes=50, prior=5).fit(sample.features, sample.y)

    return Study(
        name="high_value",
        purpose=PURPOSE.format(plan.horizon),
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
        limits=LIMITS,
        note=records.horizon_note,
    )


def _enters(cohorts: Cohorts) -> np.ndarray:
    from orchestration.models.datasets import TOP_TIER

    return (cohorts.outcome["best_tier_number"] == TOP_TIER).to_numpy(dtype=float)


HIGH_VALUE = Declaration(
    name="high_value",
    description="probability of coming into the top value tier",
    purpose=PURPOSE,
    limits=LIMITS,
    label="High value to come",
    scores="customer",
    reads=COHORTS,
    columns=(
        Column(
            "p_high_value",
            "double",
            "probability that a customer below the top value tier enters it within the horizon",
            "Probability of high value",
        ),
    ),
    study=high_value_study,
    gate=(
        ProbabilityJudge(
            model="high_value",
            score="p_high_value",
            what="probability of entering the top tier",
            due="customers with an account below that tier",
            is_due="is_below_top",
            by_tier=True,
        ),
    ),
    population="below_top",
)
