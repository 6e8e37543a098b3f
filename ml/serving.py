"""Score published rows with a registered model, with the names of the published columns.

The refresh scores with these functions. MLflow packs this package with each model and loads it
through `_load_pyfunc`, so that `models:/clv@champion` gives the same scores from the same rows
without this project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io

from ml.estimator import score_of
from ml.measures import LAST_PERIOD, PACE
from ml.response.model import OFFER, OFFER_LINE

MODEL = "model.skops"
TIER, TOP_TIER = "tier_number", 1
P_RESPONSE = "p_response"
LONG_VALUE = 36
# The column of a model without its own entry in `ANSWERS`.
PREDICTION = "prediction"
NUMBER, TEXT = "double", "string"
TEXTS = (OFFER, OFFER_LINE)

# The types that skops may load: scikit-learn's trees and this project's estimators. Any other type
# in a model file is refused. Unlike a pickle, skops runs no code on load.
TRUSTED_TYPES = [
    "ml.attrition.model.AttritionModel",
    "ml.base_rate.ColumnRate",
    "ml.by_group.ByGroup",
    "ml.clv.interval.ConformalInterval",
    "ml.clv.model.LastPeriodAgain",
    "ml.clv.model.TwoPartRegressor",
    "ml.clv.retention_margin.RetentionMarginModel",
    "ml.encoding.Binner",
    "ml.encoding.FrameEncoder",
    "ml.hazard.DiscreteTimeHazard",
    "ml.lines.LineHazard",
    "ml.response.model.OfferBaseRate",
    "ml.response.model.ResponseModel",
    "ml.response.product_value.ProductMeanValue",
    "ml.response.product_value.ProductValueModel",
    "ml.response.uplift.UpliftModel",
    "ml.response.uplift_blend.UpliftBlend",
    "ml.response.uplift_learners.ClassTransformation",
    "ml.response.uplift_learners.Design",
    "ml.response.uplift_learners.Outcome",
    "ml.response.uplift_learners.SLearner",
    "ml.response.uplift_learners.TLearner",
    "ml.response.uplift_learners.XLearner",
    "ml.response.uplift_rules.BestColumnRule",
    "ml.response.uplift_rules.ResponseScoreRule",
    "ml.response.uplift_rules.StrongerRule",
    "ml.segments.dimensions.DimensionScaler",
    "ml.segments.model.RuleTiering",
    "ml.segments.model.SegmentModel",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]
# The packages that this package imports, and MLflow.
PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops", "threadpoolctl")

Kept = Callable[[pd.DataFrame], pd.Series]


def requirements() -> list[str]:
    """The packages that loading and scoring need, at the versions of this environment."""
    return [f"{name}=={version(name)}" for name in PACKAGES]


def everybody(frame: pd.DataFrame) -> pd.Series:
    return pd.Series(True, frame.index)


def holders(frame: pd.DataFrame) -> pd.Series:
    """Customers with an account."""
    return frame["accounts"] > 0


def borrowers(frame: pd.DataFrame) -> pd.Series:
    """Customers with a loan who are not in default."""
    return (frame["loans"] > 0) & ~_defaulted(frame)


def below_top(frame: pd.DataFrame) -> pd.Series:
    """Customers with an account whose value tier is known and not the top one."""
    return holders(frame) & (frame[TIER] > TOP_TIER)


def _defaulted(frame: pd.DataFrame) -> pd.Series:
    return frame["is_defaulted"].fillna(0) > 0


@dataclass(frozen=True)
class Answer:
    """The output of a model: `columns`, name → type, computed by `score` for the rows that `kept`
    selects. `beside` names columns that are read in addition to the model's own; `optional` those
    of them that a caller may leave out."""

    columns: Mapping[str, str]
    score: Callable[[Any, pd.DataFrame], Mapping[str, np.ndarray]]
    kept: Kept = everybody
    beside: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def _clv(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    point, low, high = model.predict_interval(frame).T
    later = model.predict_months(frame, LONG_VALUE)
    return {"clv_12m": point, "clv_36m": later, "clv_low": low, "clv_high": high}


def _attrition(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    probability = score_of(model, frame)
    at_risk = probability * np.maximum(frame[PACE].to_numpy(dtype=float), 0)
    return {"p_attrition": probability, "value_at_risk": at_risk}


def _default(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    # A customer in default has the probability 1 (Basel III, CRE36: PD 100 %).
    probability = np.ones(len(frame))
    performing = ~_defaulted(frame).to_numpy(dtype=bool)
    if performing.any():
        probability[performing] = score_of(model, frame[performing].reset_index(drop=True))
    return {"p_default": probability}


def _segment(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    segments = model.predict(frame)
    names = getattr(model, "names_", {})
    named = np.array([names.get(one, one) for one in segments], dtype=object)
    return {"segment": segments, "segment_name": named}


def _uplift(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    effect = model.predict(frame)
    if P_RESPONSE in frame:
        # The uplift is at most the response probability; an unknown one is no bound.
        effect = np.fmin(effect, frame[P_RESPONSE].to_numpy(dtype=float))
    return {"uplift": np.round(effect, 6)}


ANSWERS: Mapping[str, Answer] = {
    "clv": Answer(
        {name: NUMBER for name in ("clv_12m", "clv_36m", "clv_low", "clv_high")},
        _clv,
        beside=(LAST_PERIOD, PACE),
    ),
    "attrition": Answer(
        {"p_attrition": NUMBER, "value_at_risk": NUMBER},
        _attrition,
        holders,
        ("accounts", PACE),
    ),
    "default": Answer(
        {"p_default": NUMBER},
        _default,
        lambda frame: frame["loans"] > 0,
        ("loans", "is_defaulted"),
    ),
    "high_value": Answer(
        {"p_high_value": NUMBER},
        lambda model, frame: {"p_high_value": score_of(model, frame)},
        below_top,
        ("accounts", TIER),
    ),
    "segment": Answer({"segment": TEXT, "segment_name": TEXT}, _segment, holders, ("accounts",)),
    "response": Answer(
        {P_RESPONSE: NUMBER},
        lambda model, frame: {P_RESPONSE: np.round(score_of(model, frame), 6)},
        beside=(OFFER, OFFER_LINE),
    ),
    "uplift": Answer(
        {"uplift": NUMBER}, _uplift, beside=(OFFER, P_RESPONSE), optional=(P_RESPONSE,)
    ),
    "product_value": Answer(
        {"product_value": NUMBER},
        lambda model, frame: {"product_value": np.round(model.predict(frame), 2)},
        beside=(OFFER, OFFER_LINE),
    ),
}
ANY = Answer({PREDICTION: NUMBER}, lambda model, frame: {PREDICTION: score_of(model, frame)})


def answer_of(name: str) -> Answer:
    """The output of a registered model; the column `prediction` for an unknown name."""
    return ANSWERS.get(name, ANY)


def columns_read(name: str, model: Any) -> list[str]:
    """The columns that scoring reads, those of the model first."""
    own = [str(column) for column in getattr(model, "columns_", ())]
    return own + [column for column in answer_of(name).beside if column not in own]


def scores(name: str, model: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """The published columns of each row.

    Parameters
    ----------
    frame : rows of `features.customer_month`, joined with those of `features.offer` for a model of
        offers; further columns are not read

    Returns
    -------
    Frame of the same index; empty (NaN, None) for customers that the model does not score.
    """
    answer = answer_of(name)
    kept = answer.kept(frame).to_numpy(dtype=bool)
    scored = answer.score(model, frame[kept].reset_index(drop=True)) if kept.any() else {}
    found = {}
    for column, kind in answer.columns.items():
        values = np.full(len(frame), None if kind == TEXT else np.nan, dtype=object)
        if kept.any():
            values[kept] = scored[column]
        found[column] = values if kind == TEXT else values.astype(float)
    return pd.DataFrame(found, index=frame.index)


class PublishedModel:
    """A model as MLflow's Python function: a frame in, the published columns out."""

    def __init__(self, name: str, model: Any) -> None:
        self.name = name
        self.model = model

    def predict(self, frame: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """See `scores`."""
        return scores(self.name, self.model, frame)


def _load_pyfunc(path: str, config: Mapping[str, Any]) -> PublishedModel:
    """Called by MLflow with the model's file and the name it was registered under."""
    return PublishedModel(config["model_name"], skops.io.load(Path(path), trusted=TRUSTED_TYPES))
