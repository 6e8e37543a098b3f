"""Whether a higher predicted uplift was a higher one: effects by decile of the predictions."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ml.evaluation.experiment import Effect, Strata, effect, pool_small_strata, without_certainty
from ml.evaluation.meta_analysis import slope_on
from ml.evaluation.metrics import spearman
from orchestration.campaigns.assignment import RESPONSE_DAYS, sums_by_stratum

DECILES = 10

CREATE = """
create or replace table campaigns.uplift_decile (
    scope varchar,
    scope_id varchar,
    decile integer,
    customers bigint,
    treated bigint,
    control bigint,
    predicted double,
    effect double,
    effect_low double,
    effect_high double,
    rank_correlation double,
    slope double,
    slope_low double,
    slope_high double,
    is_rank_true boolean,
    primary key (scope, scope_id, decile)
)
"""

# Response windows that are over, once by campaign, once by offer, once all together; decile 1 has
# the lowest predictions.
PREDICTED = f"""
    with
    predicted as (
        select assigned.*, given.predicted
        from temp.campaign_assignment as assigned
        inner join campaign_prediction as given using (contact_id)
        where assigned.contacted_on + {RESPONSE_DAYS} <= $as_of
    ),
    scoped as (
        select 'campaign' as scope, campaign_id as scope_id, * from predicted
        union all
        select 'offer', product_id, * from predicted
        union all
        select 'all', 'all', * from predicted
    )
    select
        scope,
        scope_id,
        ntile({DECILES}) over (
            partition by scope, scope_id order by predicted, contact_id
        )::integer as decile,
        campaign_id,
        arm,
        share,
        (is_recorded or is_opened)::double as y,
        predicted as x
    from scoped
"""


def check(predictions: pd.DataFrame) -> None:
    """Raises ValueError for predictions that are not finite, or of a contact twice."""
    if not np.isfinite(predictions["predicted"].to_numpy(dtype=float)).all():
        raise ValueError("predicted uplifts must be finite")
    if predictions["contact_id"].duplicated().any():
        raise ValueError("a contact must have one predicted uplift")


def rows(
    connection: duckdb.DuckDBPyConnection, predictions: pd.DataFrame | None, as_of: date
) -> list[dict[str, Any]]:
    """Rows of `campaigns.uplift_decile`, from the temporary table of assignments.

    A scope's rank correlation and slope stand in each of its rows. Ranks are true where the slope
    of measured on predicted uplift is above zero beyond chance.
    """
    if predictions is None or predictions.empty:
        return []
    # The engine reads no view of an array backwards or by steps.
    given = {
        "contact_id": predictions["contact_id"].to_numpy(dtype=object, copy=True),
        "predicted": predictions["predicted"].to_numpy(dtype=float, copy=True),
    }
    connection.register("campaign_prediction", pd.DataFrame(given))
    sums = sums_by_stratum(
        connection,
        PREDICTED,
        ("scope", "scope_id", "decile"),
        {"as_of": as_of},
        strata_within=("campaign_id",),
    )
    connection.unregister("campaign_prediction")
    return [row for _, frame in sums.groupby(["scope", "scope_id"]) for row in _scope(frame)]


def _scope(sums: pd.DataFrame) -> list[dict[str, Any]]:
    deciles = [_decile(frame) for _, frame in sums.groupby("decile")]
    known = [(row["predicted"], found) for row, found in deciles if found.variance > 0]
    predicted = np.array([value for value, _ in known])
    effects = np.array([found.value for _, found in known])
    slope = slope_on(predicted, effects, np.array([found.variance for _, found in known]))
    summary = {
        "scope": sums["scope"].iloc[0],
        "scope_id": sums["scope_id"].iloc[0],
        "rank_correlation": spearman(effects, predicted) if len(known) > 1 else None,
        "slope": slope.value,
        "slope_low": slope.low,
        "slope_high": slope.high,
        "is_rank_true": bool(slope.low > 0) if np.isfinite(slope.low) else None,
    }
    return [summary | row for row, _ in deciles]


def _decile(sums: pd.DataFrame) -> tuple[dict[str, Any], Effect]:
    strata = Strata.of(sums)
    treated, control = (int(count) for count in strata.counts.sum(axis=0))
    usable, _ = without_certainty(strata)
    usable, _ = pool_small_strata(usable)
    found = effect(usable)
    row = {
        "decile": int(sums["decile"].iloc[0]),
        "customers": treated + control,
        "treated": treated,
        "control": control,
        "predicted": _mean_prediction(strata),
        "effect": found.value,
        "effect_low": found.low,
        "effect_high": found.high,
    }
    return row, found


def _mean_prediction(strata: Strata) -> float:
    """Of all customers; of strata with weights, the mean so weighted."""
    weight, product = strata.sums[:, :, 1].sum(), strata.sums[:, :, 3].sum()
    return float(product / weight)
