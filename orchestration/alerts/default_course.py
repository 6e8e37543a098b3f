"""How the probabilities of default came about: what `alerts.credit` reads besides the scores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ml.estimator import score_of
from orchestration.models.context import TrainingContext
from orchestration.models.cutoffs import LONG_HORIZON, plan_cutoffs, plus_months
from orchestration.models.datasets import BORROWERS, customers_to_score, features_of
from orchestration.models.scoring import BATCH, champion_of
from orchestration.platform.tables import write_table

TABLE = "alerts.default_course"
MONTHS_BEFORE = 3


def write_default_course(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> int:
    """Write `alerts.default_course`: of each customer of `scores.default` the same champion's
    probability as of a quarter ago and the months after which it expects a default from now;
    returns the rows.

    Raises
    ------
    ml.registry.ChampionUnusable
        When the champion cannot be loaded; nothing is then written.
    """
    champion = champion_of(connection, context.registry(), "default")
    if champion is None:
        return write_table(connection, TABLE, None)
    month, model = context.as_of_month, champion.model
    # The anchors of the features, too, span the horizon that the champion was trained for.
    plan = plan_cutoffs(context.first_month, month)
    horizon = plan.horizon if plan else LONG_HORIZON

    def predicted(name: str, as_of: date, predict: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
        frames = [
            pd.DataFrame({"customer_id": frame["customer_id"], name: predict(features_of(frame))})
            for frame in customers_to_score(connection, as_of, horizon, BATCH, BORROWERS)
        ]
        empty = pd.DataFrame({"customer_id": pd.Series(dtype="str"), name: pd.Series(dtype=float)})
        return pd.concat(frames or [empty], ignore_index=True)

    course = (
        connection.execute('select customer_id from scores."default"')
        .df()
        .assign(horizon_months=horizon)
        .merge(
            predicted(
                "p_default_before",
                plus_months(month, -MONTHS_BEFORE),
                lambda features: score_of(model, features),
            ),
            on="customer_id",
            how="left",
        )
    )
    if hasattr(model, "expected_lead_time"):
        lead = predicted("expected_lead_months", month, model.expected_lead_time)
        course = course.merge(lead, on="customer_id", how="left")
    else:
        course = course.assign(expected_lead_months=np.nan)
    return write_table(connection, TABLE, course)
