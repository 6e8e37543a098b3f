"""Early warnings: loans to look at before they are in default, judged by the default model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ml.estimator import score_of
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON, plan_cutoffs, plus_months
from orchestration.models.datasets import BORROWERS, customers_to_score, features_of
from orchestration.models.scoring import BATCH, Champion, champion_of
from orchestration.platform.tables import write_table

TABLE = "alerts.credit"
# An account is watched when it is a day late or its probability doubled to a level that matters, a
# warning at the first class of arrears or one in ten, an alarm at the second or one in five.
WATCHED, WARNED, ALARMING = 0.05, 0.10, 0.20
LATE, WARNED_LATE, ALARMING_LATE = 1, 30, 60
DOUBLED = 2.0
MONTHS_BEFORE = 3

# A probability over a shorter horizon is brought to a year at the same monthly hazard.
LOANS = """
    with why as (
        select
            customer_id,
            string_agg(
                feature || ' ' || coalesce(nullif(value, ''), 'none')
                || ' (usual ' || coalesce(nullif(usual, ''), 'none') || ')',
                '; ' order by rank
            ) as raised
        from scores.reason
        where model_name = 'default' and direction = 'raises'
        group by customer_id
    )
    select
        loan.* exclude (is_defaulted),
        1 - power(1 - score.p_default, 12.0 / $horizon) as p_default,
        1 - power(1 - course.p_default, 12.0 / $horizon) as p_default_before,
        course.expected_lead_months,
        loan.exposure
        * (1 - power(1 - score.p_default, 12.0 / $horizon))
        * loan.loss_given_default as expected_loss_12m,
        coalesce(
            why.raised,
            'probability of default '
            || round(1 - power(1 - score.p_default, 12.0 / $horizon), 3)
        ) as raised,
        score.default_model_version
    from alerts.loan as loan
    inner join scores.customer as score on score.customer_id = loan.customer_id
    left join course on course.customer_id = loan.customer_id
    left join why on why.customer_id = loan.customer_id
    where not loan.is_defaulted and score.p_default is not null
    order by loan.account_id
"""


def write_credit_alerts(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write `alerts.credit` from the champion's scores of the as-of month; returns the alerts.

    Raises
    ------
    ml.registry.ChampionUnusable
        When the champion cannot be loaded; nothing is then written.
    """
    champion = champion_of(connection, context.registry(), "default")
    if champion is None:
        return write_table(connection, TABLE, None)
    # The anchors of the features, too, span the horizon that the champion was trained for.
    plan = plan_cutoffs(context.first_month, context.as_of_month)
    horizon = plan.horizon if plan else LONG_HORIZON
    connection.register("course", _course(connection, context, champion, horizon))
    loans = connection.execute(LOANS, {"horizon": horizon}).df()
    connection.unregister("course")
    judged = loans.assign(
        month=pd.Timestamp(context.as_of_month), severity=severity(loans), reason=_reason(loans)
    )
    alerts = judged[judged["severity"].notna()]
    return write_table(connection, TABLE, alerts.drop(columns=["is_borrower_defaulted", "raised"]))


def severity(loans: pd.DataFrame) -> pd.Series:
    """watch, warning or alarm of each loan, by probability and days past due; missing for most."""
    p, late = loans["p_default"], loans["days_past_due"]
    doubled = (p >= WATCHED) & (p >= DOUBLED * loans["p_default_before"])
    found = np.select(
        [
            (p >= ALARMING) | (late >= ALARMING_LATE),
            (p >= WARNED) | (late >= WARNED_LATE),
            doubled | (late >= LATE),
        ],
        ["alarm", "warning", "watch"],
        default="",
    )
    return pd.Series(found, index=loans.index, dtype=object).where(found != "")


def _reason(loans: pd.DataFrame) -> list[str]:
    return [
        ("another loan of the borrower is in default; " if defaulted else "")
        + (f"{late} days past due; " if late > 0 else "")
        + raised
        for defaulted, late, raised in zip(
            loans["is_borrower_defaulted"], loans["days_past_due"], loans["raised"], strict=True
        )
    ]


def _course(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    champion: Champion,
    horizon: int,
) -> pd.DataFrame:
    """Of each borrower the same champion's probability as of a quarter ago, over the horizon, and
    the months after which it expects a default from now."""
    month, model = context.as_of_month, champion.model

    def predicted(name: str, as_of: Any, predict: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
        frames = [
            pd.DataFrame({"customer_id": frame["customer_id"], name: predict(features_of(frame))})
            for frame in customers_to_score(connection, as_of, horizon, BATCH, BORROWERS)
        ]
        empty = pd.DataFrame({"customer_id": pd.Series(dtype="str"), name: pd.Series(dtype=float)})
        return pd.concat(frames or [empty], ignore_index=True)

    before = predicted(
        "p_default",
        plus_months(month, -MONTHS_BEFORE),
        lambda features: score_of(model, features),
    )
    if not hasattr(model, "expected_lead_time"):
        return before.assign(expected_lead_months=np.nan)
    lead = predicted("expected_lead_months", month, model.expected_lead_time)
    return before.merge(lead, on="customer_id", how="outer")
