"""`default`: which borrowers will be in default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from expectations.suites.probability_scores import (
    Impossible,
    Level,
    ProbabilityJudge,
    credit_judge,
)
from orchestration.models.cutoffs import TOO_SHORT
from orchestration.models.declaration import COHORTS, Column, Declaration
from orchestration.models.study import KIND, Learner, Off, Sample, Study

if TYPE_CHECKING:
    import numpy as np

    from orchestration.models.datasets import Cohorts
    from orchestration.models.records import Records

# Where the classes of arrears begin, in days, as rating tables draw them.
ARREARS = (1, 30, 60)

PURPOSE = (
    "Probability that a borrower who is not in default now is within {0} months, month by month. "
    "It feeds the expected loss of the months after and early warnings; it is not a decision on an "
    "application."
)
LIMITS = (
    "the probability is the borrower's: all loans of an owner share it",
    "cards and overdrafts have no record of default and keep the rating table",
)


def default_study(records: Records) -> Study | Off:
    """Monthly hazard of default; the rule is the rate by class of days past due."""
    from ml.base_rate import ColumnRate
    from ml.hazard import FORMAT, DiscreteTimeHazard
    from orchestration.models.datasets import BORROWERS
    from orchestration.models.studies.measures import PROBABILITY_MEASURES, times

    if records.plan is None:
        return Off("default", TOO_SHORT)
    plan = records.plan

    def hazard(sample: Sample, seed: int) -> Any:
        time, event = times(sample, "months_to_default", plan.horizon)
        return DiscreteTimeHazard(seed=seed, periods=plan.horizon, by=KIND).fit(
            sample.features, time, event, sample.customers
        )

    def arrears(sample: Sample, seed: int) -> Any:
        return ColumnRate("days_past_due", edges=ARREARS).fit(sample.features, sample.y)

    return Study(
        name="default",
        purpose=PURPOSE.format(plan.horizon),
        horizon=plan.horizon,
        wanted=records.wanted(FORMAT),
        read=lambda: records.material(_defaults, BORROWERS),
        newest=lambda: records.newest(_defaults, BORROWERS),
        learners=(Learner("hazard", hazard),),
        rule=Learner("rate_by_days_past_due", arrears),
        measures=PROBABILITY_MEASURES,
        deciding="log_score",
        kind="probability",
        unit="probability",
        feeds_money=True,
        limits=LIMITS,
        note=records.horizon_note,
    )


def _defaults(cohorts: Cohorts) -> np.ndarray:
    return cohorts.outcome["months_to_default"].notna().to_numpy(dtype=float)


IN_DEFAULT = "coalesce(is_defaulted, false)"
DEFAULT = Declaration(
    name="default",
    description="calibrated probability of a borrower's default, month by month",
    purpose=PURPOSE,
    limits=LIMITS,
    label="Default",
    scores="customer",
    reads=COHORTS,
    columns=(
        Column(
            "p_default",
            "double",
            "probability that the borrower is in default within the horizon; 1 if in default now",
            "Probability of default",
        ),
    ),
    study=default_study,
    gate=(
        ProbabilityJudge(
            model="default",
            score="p_default",
            what="probability of default",
            due="customers with a loan",
            is_due="is_borrower",
            impossible=(
                Impossible(
                    "default_below_one",
                    "is_borrower and is_defaulted and p_default <> 1",
                    "borrowers in default now have the probability 1",
                    "look at the scores step: they are not the model's to score",
                ),
            ),
            level=Level(
                f"loans > 0 and not {IN_DEFAULT}",
                IN_DEFAULT,
                "borrowers to default",
                factor=4.0,
                counted="not is_defaulted",
            ),
        ),
        credit_judge("default"),
    ),
    population="borrowers",
)
