"""`clv`: the discounted contribution margin of the months to come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from expectations.suites.customer_scores import value_judge
from orchestration.models.cutoffs import LONG_HORIZON, TOO_SHORT
from orchestration.models.declaration import COHORTS, LINES, Column, Declaration
from orchestration.models.study import Learner, Off, Sample, Study
from sources.vocabulary import lines_where

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from orchestration.models.records import Records

PURPOSE = (
    "What a customer will bring in the next {0} months: expected contribution margin, discounted "
    "at the hurdle rate from the middle of each month, with an interval. For ranking customers by "
    "value to come and for pricing what a relationship is worth; not for judging a single "
    "customer's conduct."
)
LIMITS = (
    "beyond the horizon nothing was observed: 36 months are an extrapolation",
    "intervals hold on average over customers of like predictions, not for each",
)


def clv_study(records: Records) -> Study | Off:
    """Retention × margin, the direct two-part learner as its challenger, the last period again."""
    from ml.clv.model import FORMAT, LastPeriodAgain, TwoPartRegressor
    from ml.clv.retention_margin import RetentionMarginModel
    from orchestration.models.studies.measures import VALUE_MEASURES

    if records.plan is None:
        return Off("clv", TOO_SHORT)
    plan = records.plan

    def retention_margin(sample: Sample, seed: int) -> Any:
        model = RetentionMarginModel(
            seed=seed, annual_discount_rate=records.rate, loan_lines=lines_where("holds_loans")
        )
        return model.fit(sample.features, sample.further)

    def two_part(sample: Sample, seed: int) -> Any:
        return TwoPartRegressor(
            seed=seed, horizon=plan.horizon, annual_discount_rate=records.rate
        ).fit(sample.features, sample.y)

    def last_period(sample: Sample, seed: int) -> Any:
        return LastPeriodAgain(horizon=plan.horizon).fit(sample.features, sample.y)

    return Study(
        name="clv",
        purpose=PURPOSE.format(plan.horizon),
        horizon=plan.horizon,
        wanted=records.wanted(FORMAT, discount_rate=f"{records.rate:.6f}"),
        read=lambda: records.material(_contribution, further=records.line_outcomes),
        newest=lambda: records.newest(_contribution),
        learners=(
            Learner("retention_margin", retention_margin),
            Learner("two_part", two_part),
        ),
        rule=Learner("last_period_again", last_period),
        measures=VALUE_MEASURES,
        deciding="gini",
        kind="value",
        unit="currency units",
        feeds_money=True,
        limits=LIMITS,
        note=records.horizon_note,
    )


def _contribution(cohorts: Any) -> np.ndarray:
    return cohorts.outcome["contribution"].to_numpy(dtype=float)


def _horizon(records: Records) -> Callable[[pd.DataFrame, np.ndarray], Mapping[str, Any]]:
    """The months that `clv_12m` covers."""
    horizon = records.plan.horizon if records.plan else LONG_HORIZON
    return lambda frame, places: {"clv_horizon_months": horizon}


MONEY = "decimal(18, 2)"
CLV = Declaration(
    name="clv",
    description="customer lifetime value: discounted contribution margin of the months to come",
    purpose=PURPOSE,
    limits=LIMITS,
    label="Lifetime value",
    scores="customer",
    reads=(*COHORTS, *LINES),
    columns=(
        Column(
            "clv_12m",
            MONEY,
            "expected contribution margin of the horizon, discounted, in currency units",
            "Lifetime value, {months} months",
            "money",
        ),
        Column(
            "clv_36m",
            MONEY,
            "the same of 36 months: beyond the horizon an extrapolation",
            "Lifetime value, 36 months",
            "money",
        ),
        Column("clv_low", MONEY, "lower end of the 90 % interval of `clv_12m`"),
        Column("clv_high", MONEY, "upper end of the 90 % interval of `clv_12m`"),
        Column(
            "clv_horizon_months",
            "integer",
            "months that `clv_12m` covers: 12, or 6 where the history is short",
        ),
    ),
    study=clv_study,
    gate=(value_judge("clv", factor=3.0, most_long_pace=1.5),),
    population="everybody",
    beside=_horizon,
)
