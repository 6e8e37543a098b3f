"""Measures that several studies share."""

from __future__ import annotations

import numpy as np

from ml.evaluation import metrics
from ml.promotion import Measure
from orchestration.models.study import Sample

PROBABILITY_MEASURES = (
    Measure("log_score", metrics.log_score, "lower"),
    Measure("brier", metrics.brier, "lower"),
    Measure("auc", metrics.auc, "higher"),
    Measure("top_decile_capture", metrics.top_decile_capture, "higher"),
    Measure("calibration_error", metrics.expected_calibration_error, "zero"),
    Measure("total_bias", metrics.total_bias, "zero"),
)
VALUE_MEASURES = (
    Measure("gini", metrics.gini, "higher"),
    Measure("spearman", metrics.spearman, "higher"),
    Measure("top_decile_capture", metrics.top_decile_capture, "higher"),
    Measure("mean_absolute_error", metrics.mean_absolute_error, "lower"),
    Measure("total_bias", metrics.total_bias, "zero"),
)


def times(sample: Sample, column: str, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Month of the event, or the last one observed without it, and whether it came; shape (n,)."""
    month = sample.outcome[column].to_numpy(dtype=float, na_value=np.nan)
    event = ~np.isnan(month)
    return np.where(event, month, horizon).astype(int), event
