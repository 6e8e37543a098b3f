"""`attrition`: which customers will hold no account any more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from expectations.suites.probability_scores import (
    Impossible,
    Level,
    ProbabilityJudge,
    product_line_judge,
)
from orchestration.models.cutoffs import TOO_SHORT
from orchestration.models.declaration import (
    COHORTS,
    LINES,
    Column,
    Declaration,
    Table,
    version_of,
)
from orchestration.models.study import KIND, Learner, Off, Sample, Study
from sources.vocabulary import lines_where

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from orchestration.models.datasets import Cohorts
    from orchestration.models.records import Records

PURPOSE = (
    "Probability that a customer who holds an account now closes the last one within {0} months, "
    "month by month. For deciding whom to keep, weighed by the value at risk; not for treating "
    "customers worse."
)
LIMITS = ("leaving is closing every account: who only stops using them is not counted",)


def attrition_study(records: Records) -> Study | Off:
    """Monthly hazard of leaving; the rule is the rate by days without a booking of one's own."""
    from ml.attrition.model import FORMAT, AttritionModel
    from ml.base_rate import ColumnRate
    from orchestration.models.datasets import HOLDERS
    from orchestration.models.studies.measures import PROBABILITY_MEASURES, times

    if records.plan is None:
        return Off("attrition", TOO_SHORT)
    plan = records.plan

    def hazard(sample: Sample, seed: int) -> Any:
        time, event = times(sample, "months_to_exit", plan.horizon)
        model = AttritionModel(
            seed=seed, periods=plan.horizon, loan_lines=lines_where("holds_loans"), by=KIND
        )
        return model.fit(sample.features, time, event, sample.customers, sample.further)

    def lines(cutoffs: tuple[date, ...]) -> pd.DataFrame:
        return records.lines_held(cutoffs, HOLDERS)

    def idle(sample: Sample, seed: int) -> Any:
        return ColumnRate("days_since_active").fit(sample.features, sample.y)

    return Study(
        name="attrition",
        purpose=PURPOSE.format(plan.horizon),
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
        feeds_money=True,
        limits=LIMITS,
        note=records.horizon_note,
    )


def _leaves(cohorts: Cohorts) -> np.ndarray:
    return cohorts.outcome["months_to_exit"].notna().to_numpy(dtype=float)


def _lines(model: Any, features: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Rows of `scores.product_attrition`; none for a rule, which has no lines."""
    from ml.attrition.model import AttritionModel

    if not isinstance(model, AttritionModel):
        return {}
    lines = model.line_attrition(features).rename(columns={"line": "product_line"})
    return {"product_attrition": lines[["row", "product_line", "p_attrition", "value_at_risk"]]}


ATTRITION = Declaration(
    name="attrition",
    description="probability of leaving, of the customer and of each product line",
    purpose=PURPOSE,
    limits=LIMITS,
    label="Attrition",
    scores="customer",
    reads=(*COHORTS, *LINES),
    columns=(
        Column(
            "p_attrition",
            "double",
            "probability that the customer closes the last account within the horizon",
            "Probability of leaving",
        ),
        Column(
            "value_at_risk",
            "decimal(18, 2)",
            "the probability times the contribution of a horizon at the pace so far, at least 0",
            "Value at risk",
            "money",
        ),
    ),
    study=attrition_study,
    gate=(
        ProbabilityJudge(
            model="attrition",
            score="p_attrition",
            what="probability of leaving",
            due="customers with an account",
            is_due="is_holder",
            impossible=(
                Impossible(
                    "without_value_at_risk",
                    "value_at_risk < 0 or (value_at_risk is null"
                    " and p_attrition is not null and clv_12m is not null)",
                    "the value at risk of every customer who may leave is known and at least 0",
                    "a customer of negative value puts none at risk: look at the scores step",
                ),
            ),
            level=Level("accounts > 0", "accounts = 0", "customers to leave", factor=3.0),
        ),
        product_line_judge("attrition"),
    ),
    population="holders",
    tables=(
        Table(
            "product_attrition",
            "probability of giving up each product line that a customer holds",
            (
                Column("customer_id", "varchar", "customer who holds the product line"),
                Column("product_line", "varchar", "product line held, such as `cards`"),
                Column(
                    "p_attrition", "double", "probability of giving up the line within the horizon"
                ),
                Column(
                    "value_at_risk",
                    "decimal(18, 2)",
                    "the probability times what the line brings in the horizon, at least 0",
                ),
                version_of("attrition"),
            ),
            ("customer_id", "product_line"),
        ),
    ),
    rows=_lines,
)
