"""`clv`: the discounted contribution margin of the months to come."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.clv.model import FORMAT, LastPeriodAgain, TwoPartRegressor
from ml.clv.retention_margin import RetentionMarginModel
from ml.evaluation import metrics
from ml.promotion import Measure
from orchestration.models.records import TOO_SHORT, Records
from orchestration.models.study import Learner, Off, Sample, Study

MEASURES = (
    Measure("gini", metrics.gini, "higher"),
    Measure("spearman", metrics.spearman, "higher"),
    Measure("top_decile_capture", metrics.top_decile_capture, "higher"),
    Measure("mean_absolute_error", metrics.mean_absolute_error, "lower"),
    Measure("total_bias", metrics.total_bias, "zero"),
)


def clv_study(records: Records) -> Study | Off:
    """Retention × margin, the direct two-part learner as its challenger, the last period again."""
    if records.plan is None:
        return Off("clv", TOO_SHORT)
    plan = records.plan

    def retention_margin(sample: Sample, seed: int) -> Any:
        model = RetentionMarginModel(seed=seed, annual_discount_rate=records.rate)
        return model.fit(sample.features, sample.further)

    def two_part(sample: Sample, seed: int) -> Any:
        return TwoPartRegressor(
            seed=seed, horizon=plan.horizon, annual_discount_rate=records.rate
        ).fit(sample.features, sample.y)

    def last_period(sample: Sample, seed: int) -> Any:
        return LastPeriodAgain(horizon=plan.horizon).fit(sample.features, sample.y)

    return Study(
        name="clv",
        purpose=(
            f"What a customer will bring in the next {plan.horizon} months: expected contribution "
            f"margin, discounted at {records.rate:.1%} a year from the middle of each month, with "
            "a 90 % interval. For ranking customers by value to come and for pricing what a "
            "relationship is worth; not for judging a single customer's conduct."
        ),
        horizon=plan.horizon,
        wanted=records.wanted(FORMAT, discount_rate=f"{records.rate:.6f}"),
        read=lambda: records.material(_contribution, further=records.line_outcomes),
        newest=lambda: records.newest(_contribution),
        learners=(
            Learner("retention_margin", retention_margin),
            Learner("two_part", two_part),
        ),
        rule=Learner("last_period_again", last_period),
        measures=MEASURES,
        deciding="gini",
        kind="value",
        unit="currency units",
        limits=(
            "beyond the horizon nothing was observed: 36 months are an extrapolation",
            "intervals hold on average over customers of like predictions, not for each",
        ),
        note=records.horizon_note,
    )


def _contribution(cohorts: Any) -> np.ndarray:
    return np.asarray(cohorts.outcome["contribution"], dtype=float)
