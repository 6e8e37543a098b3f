"""How the champion of uplift did on later campaigns, beside the rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ml.evaluation.uplift import (
    UpliftMetric,
    auuc,
    policy_value,
    qini_coefficient,
    uplift_at,
    uplift_compare,
)
from ml.registry import ChampionUnusable
from ml.response.model import ResponseModel
from ml.response.uplift_rules import BestColumnRule, ResponseScoreRule
from orchestration.models.context import TrainingContext
from orchestration.models.registration import is_on
from orchestration.models.studies.response import evaluation_border
from orchestration.models.studies.uplift import Arms, randomised_contacts, split_at
from orchestration.models.study import Sample

ROUNDS = 200
METRICS: Mapping[str, UpliftMetric] = {
    "qini": qini_coefficient,
    "auuc": auuc,
    "uplift_at_10": partial(uplift_at, share=0.1),
    "uplift_at_30": partial(uplift_at, share=0.3),
    "policy_value_30": partial(policy_value, share=0.3),
}
CREATE = """
create schema if not exists campaigns;
create or replace table campaigns.uplift_policy (
    policy varchar,
    metric varchar,
    value double,
    low double,
    high double,
    difference double,
    difference_low double,
    difference_high double,
    contacts integer,
    evaluated_from date,
    uplift_model_version varchar,
    primary key (policy, metric)
)
"""


def held_out_uplift(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext
) -> pd.DataFrame | None:
    """What the champion's twin, fitted before them, says of the newest campaigns' contacts:
    contact_id, predicted. Writes `campaigns.uplift_policy` beside: the figures of the twin, of the
    best single column and of treating by the response score, each with the champion's lead.

    None, and an empty table, where the model is off or its champion tells nothing of these.
    """
    connection.execute(CREATE)
    if not is_on(connection, "uplift"):
        return None
    registry = context.registry()
    champion = registry.champion("uplift")
    contacts = randomised_contacts(connection)
    border = evaluation_border(contacts)
    if champion is None or border is None:
        return None
    try:
        twin = registry.load_twin(champion)
    except ChampionUnusable:
        return None
    earlier, later = split_at(contacts, border)
    predicted = twin.predict(later.features)
    with threadpool_limits(1):
        others = {
            "best_column": _fitted(BestColumnRule(seed=context.seed), earlier),
            "response_score": _fitted(ResponseScoreRule(ResponseModel(context.seed)), earlier),
        }
    rows = [
        {
            "policy": name,
            "metric": metric,
            "value": one.other.value,
            "low": one.other.low,
            "high": one.other.high,
            "difference": one.difference.value,
            "difference_low": one.difference.low,
            "difference_high": one.difference.high,
        }
        for name, rule in others.items()
        for metric, one in _compared(later, predicted, rule.predict(later.features), context.seed)
    ]
    rows += [
        {"policy": "champion", "metric": metric, **_estimate(one.score)}
        for metric, one in _compared(later, predicted, predicted, context.seed)
    ]
    table = pd.DataFrame(rows).assign(
        contacts=len(later),
        evaluated_from=border.date(),
        uplift_model_version=champion.version,
    )
    connection.register("policy_rows", table)
    connection.execute("insert into campaigns.uplift_policy by name select * from policy_rows")
    connection.unregister("policy_rows")
    return pd.DataFrame(
        {"contact_id": later.outcome["contact_id"].to_numpy(), "predicted": predicted}
    )


def _fitted(rule: Any, sample: Sample) -> Any:
    arms: Arms = sample.further
    return rule.fit(sample.features, arms.y, arms.treatment, arms.probability)


def _compared(sample: Sample, score: np.ndarray, other: np.ndarray, seed: int) -> Any:
    arms: Arms = sample.further
    return uplift_compare(
        METRICS,
        arms.y,
        score,
        other,
        arms.treatment,
        arms.probability,
        seed=seed,
        groups=sample.customers,
        rounds=ROUNDS,
    ).items()


def _estimate(one: Any) -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}
