"""Checks predicted against measured uplift: effects by decile of the predictions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import duckdb
import numpy as np

from ml.evaluation.experiment import Effect, Strata, effect, pool_small_strata, without_certainty
from ml.evaluation.meta_analysis import slope_on
from ml.evaluation.metrics import spearman
from orchestration.campaigns.sums import sums_by

SCOPE = ("scope", "scope_id")


def rows(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of `campaigns.uplift_decile`, from `campaigns.uplift_sum`.

    A scope's rank correlation and slope stand in each of its rows. Ranks are true where the slope
    of measured on predicted uplift is above zero beyond chance.
    """
    sums = sums_by(connection, "campaigns.uplift_sum", (*SCOPE, "decile"))
    scopes = groupby(sums.items(), key=lambda one: one[0][:2])
    return [
        dict(zip(SCOPE, scope, strict=True)) | row
        for scope, deciles in scopes
        for row in _scope(_decile(key[-1], one.of_all) for key, one in deciles)
    ]


def _scope(found: Iterable[tuple[dict[str, Any], Effect]]) -> list[dict[str, Any]]:
    deciles = list(found)
    known = [(row["predicted"], found) for row, found in deciles if found.variance > 0]
    predicted = np.array([value for value, _ in known])
    effects = np.array([found.value for _, found in known])
    slope = slope_on(predicted, effects, np.array([found.variance for _, found in known]))
    summary = {
        "rank_correlation": spearman(effects, predicted) if len(known) > 1 else None,
        "slope": slope.value,
        "slope_low": slope.low,
        "slope_high": slope.high,
        "is_rank_true": bool(slope.low > 0) if np.isfinite(slope.low) else None,
    }
    return [summary | row for row, _ in deciles]


def _decile(decile: int, strata: Strata) -> tuple[dict[str, Any], Effect]:
    treated, control = (int(count) for count in strata.counts.sum(axis=0))
    usable, _ = without_certainty(strata)
    usable, _ = pool_small_strata(usable)
    found = effect(usable)
    row = {
        "decile": decile,
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
