"""Evaluates an uplift model on later campaigns against simple rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from ml.evaluation.metrics import Estimate
from ml.evaluation.uplift import (
    UpliftMetric,
    auuc,
    policy_value,
    qini_coefficient,
    uplift_at,
    uplift_compare_each,
)
from ml.response.uplift_rules import StrongerRule
from orchestration.models.study import Sample

# Name of the table that is logged with a version.
POLICY = "uplift_policy"
ROUNDS = 100
METRICS: Mapping[str, UpliftMetric] = {
    "qini": qini_coefficient,
    "auuc": auuc,
    "uplift_at_10": partial(uplift_at, share=0.1),
    "uplift_at_30": partial(uplift_at, share=0.3),
    "policy_value_30": partial(policy_value, share=0.3),
}


def policy_table(model: Any, rule: StrongerRule, later: Sample, seed: int) -> pd.DataFrame:
    """Each metric with its 90 % interval on contacts after the training: for the model, for each
    simple rule, and for the difference between them.

    Columns: policy, metric, value, low, high, difference, difference_low, difference_high,
    contacts, evaluated_from.
    """
    arms = later.further
    compared = uplift_compare_each(
        METRICS,
        arms.y,
        model.predict(later.features),
        {name: simple.predict(later.features) for name, simple in rule.rules_.items()},
        arms.treatment,
        arms.probability,
        seed=seed,
        groups=later.customers,
        rounds=ROUNDS,
    )
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name, by_metric in compared.items():
        for metric, one in by_metric.items():
            rows["model", metric] = _figures("", one.score)
            rows[name, metric] = _figures("", one.other) | _figures("difference", one.difference)
    table = pd.DataFrame(
        [{"policy": policy, "metric": metric} | row for (policy, metric), row in rows.items()]
    )
    return table.assign(contacts=len(later), evaluated_from=later.cutoffs[0])


def _figures(name: str, one: Estimate) -> dict[str, float]:
    if not name:
        return {"value": one.value, "low": one.low, "high": one.high}
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
