"""Training: candidates fitted at past cut-offs, judged on a later period.

What decides is always the evaluation period, which no candidate has seen. The version that scores
is then fitted again on every cut-off whose labels are complete; its twin, fitted before the
evaluation period, is kept beside it for later comparisons.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date

import duckdb
import numpy as np
import pandas as pd

from ml.clv import model as clv
from ml.clv.interval import ConformalInterval
from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.evaluation import metrics
from ml.promotion import Measure
from ml.registry import Version, listed
from ml.response import model as response
from ml.response.model import OFFER, OfferBaseRate, ResponseModel
from orchestration.models.context import TrainingContext
from orchestration.models.datasets import (
    LONG_HORIZON,
    clv_frame,
    contact_frame,
    digest,
    feature_columns,
    features_of,
    plan_cutoffs,
)
from orchestration.models.registration import (
    Evaluation,
    Trained,
    TrainingReport,
    create_tables,
    keep,
    register,
    switch_off,
)

LEAST_CONTACTS, LEAST_RESPONSES = 400, 40
EVALUATED_SHARE = 0.25

CLV_MEASURES = (
    Measure("gini", metrics.gini, "higher"),
    Measure("spearman", metrics.spearman, "higher"),
    Measure("top_decile_capture", metrics.top_decile_capture, "higher"),
    Measure("mean_absolute_error", metrics.mean_absolute_error, "lower"),
    Measure("total_bias", metrics.total_bias, "zero"),
)
RESPONSE_MEASURES = (
    Measure("log_score", metrics.log_score, "lower"),
    Measure("brier", metrics.brier, "lower"),
    Measure("auc", metrics.auc, "higher"),
    Measure("calibration_error", metrics.expected_calibration_error, "zero"),
)


def needs_training(
    mode: str, champion: Version | None, wanted: Mapping[str, str]
) -> tuple[bool, str]:
    """Whether to train, and why.

    `auto` trains where there is no champion, or the one there was made for another bank, horizon,
    feature list or format of the stored model: such a champion must not score.
    """
    if champion is None:
        return True, "there is no champion yet"
    differing = _differing(champion, wanted)
    if differing:
        return True, f"the champion was made for another {', '.join(differing)}"
    return mode == "always", "training was asked for" if mode == "always" else "the champion fits"


def train_clv(connection: duckdb.DuckDBPyConnection, context: TrainingContext) -> TrainingReport:
    """Contribution margin of the next months: two-part learner against the last period again.

    Raises
    ------
    RuntimeError
        When training is switched off and no champion fits.
    """
    create_tables(connection)
    plan = plan_cutoffs(context.first_month, context.as_of_month)
    if plan is None:
        return switch_off(
            connection,
            "clv",
            "history too short: 15 months are needed for a horizon of 6, 27 for one of 12",
        )
    note = (
        ""
        if plan.horizon == LONG_HORIZON
        else f"history too short for {LONG_HORIZON} months: a horizon of {plan.horizon} is used"
    )
    wanted = {
        "source": context.source,
        "format": clv.FORMAT,
        "horizon_months": str(plan.horizon),
        "features": listed(feature_columns(connection)),
    }
    registry = context.registry()
    champion = registry.champion("clv")
    train, reason = needs_training(context.mode, champion, wanted)
    if not train and champion is not None:
        return keep(connection, registry, champion, plan.horizon, (note, reason))
    _training_allowed(context, "clv", reason)

    frame, y = clv_frame(connection, plan.training, plan.horizon)
    later, later_y = clv_frame(connection, (plan.evaluation,), plan.horizon)
    features, later_features = features_of(frame), features_of(later)
    twin = TwoPartRegressor(seed=context.seed).fit(features, y).calibrate(later_features, later_y)
    rule = LastPeriodAgain().fit(features, y).calibrate(later_features, later_y)
    all_frame, all_y = clv_frame(connection, plan.refit, plan.horizon)
    model = TwoPartRegressor(seed=context.seed).fit(features_of(all_frame), all_y)
    model.interval_ = twin.interval_
    trained = Trained(
        name="clv",
        model=model,
        twin=twin,
        rule=rule,
        evaluation=Evaluation(
            later_y,
            twin.predict(later_features),
            rule.predict(later_features),
            CLV_MEASURES,
            deciding="gini",
            unit="currency units",
        ),
        later_features=later_features,
        tags={
            **wanted,
            "data_digest": digest(all_frame, all_y),
            "trained_as_of": str(context.as_of),
        },
        parameters={
            **twin.get_params(),
            "horizon_months": plan.horizon,
            "training_cutoffs": _months(plan.training),
            "evaluation_cutoff": f"{plan.evaluation:%Y-%m}",
            "refit_cutoffs": _months(plan.refit),
            "training_rows": len(y),
            "evaluation_rows": len(later_y),
            "interval_coverage_nominal": twin.interval_.coverage,
        },
        horizon=plan.horizon,
        note=note,
        further_metrics={"interval_coverage": _coverage(later, later_y, twin)},
    )
    return register(connection, context, registry, trained, _comparable(champion, wanted), reason)


def train_response(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext
) -> TrainingReport:
    """Probability of response when contacted: calibrated boosting against the offer's base rate.

    Raises
    ------
    RuntimeError
        When training is switched off and no champion fits.
    """
    create_tables(connection)
    contacts = contact_frame(connection)
    if contacts.empty:
        return switch_off(
            connection, "response", "this source has no campaign whose responses are in"
        )
    responses = int(contacts["responded"].sum())
    border = evaluation_border(contacts)
    if len(contacts) < LEAST_CONTACTS or responses < LEAST_RESPONSES or border is None:
        return switch_off(
            connection,
            "response",
            f"too few matured contacts: {len(contacts)} with {responses} responses; "
            f"{LEAST_CONTACTS} with {LEAST_RESPONSES} are needed, over several campaigns",
        )
    wanted = {
        "source": context.source,
        "format": response.FORMAT,
        "features": listed([*feature_columns(connection), OFFER]),
    }
    registry = context.registry()
    champion = registry.champion("response")
    train, reason = needs_training(context.mode, champion, wanted)
    if not train and champion is not None:
        return keep(connection, registry, champion, None, (reason,))
    _training_allowed(context, "response", reason)

    is_later = (contacts["contacted_on"] >= border).to_numpy()
    is_earlier = (contacts["matured_on"] < border).to_numpy()
    features = features_of(contacts)
    y = contacts["responded"].to_numpy()
    earlier, later = features[is_earlier], features[is_later]
    twin = ResponseModel(seed=context.seed).fit(earlier, y[is_earlier])
    rule = OfferBaseRate().fit(earlier, y[is_earlier])
    trained = Trained(
        name="response",
        model=ResponseModel(seed=context.seed).fit(features, y),
        twin=twin,
        rule=OfferBaseRate().fit(features, y),
        evaluation=Evaluation(
            y[is_later],
            twin.predict(later),
            rule.predict(later),
            RESPONSE_MEASURES,
            deciding="log_score",
            unit="probability",
        ),
        later_features=later,
        tags={**wanted, "data_digest": digest(features, y), "trained_as_of": str(context.as_of)},
        parameters={
            **twin.get_params(),
            "evaluated_from": str(border.date()),
            "training_rows": int(is_earlier.sum()),
            "evaluation_rows": int(is_later.sum()),
            "responses": responses,
        },
        horizon=None,
        note="",
        further_metrics={},
    )
    return register(connection, context, registry, trained, _comparable(champion, wanted), reason)


def evaluation_border(contacts: pd.DataFrame) -> pd.Timestamp | None:
    """The day from which contacts evaluate: the newest quarter, in whole months, with enough of
    both kinds on either side; None where there is no such day."""
    months = contacts["contacted_on"].dt.to_period("M")
    for month in sorted(months.unique(), reverse=True):
        border = month.to_timestamp()
        later = contacts[contacts["contacted_on"] >= border]
        earlier = contacts[contacts["matured_on"] < border]
        if len(later) < EVALUATED_SHARE * len(contacts) or later["responded"].sum() < 10:
            continue
        # The newest part of the earlier contacts calibrates: it needs responses too.
        return border if earlier["responded"].sum() >= LEAST_RESPONSES / 2 else None
    return None


def _training_allowed(context: TrainingContext, name: str, reason: str) -> None:
    if context.mode == "never":
        raise RuntimeError(
            f"model {name} must be trained ({reason}), but training is switched off; "
            "run make refresh TRAIN=auto"
        )


def _differing(champion: Version, wanted: Mapping[str, str]) -> list[str]:
    return [name for name, value in wanted.items() if champion.tags.get(name) != value]


def _comparable(champion: Version | None, wanted: Mapping[str, str]) -> Version | None:
    return champion if champion and not _differing(champion, wanted) else None


def _months(cutoffs: Sequence[date]) -> str:
    return json.dumps([f"{month:%Y-%m}" for month in cutoffs])


def _coverage(later: pd.DataFrame, y: np.ndarray, twin: TwoPartRegressor) -> float:
    """Share of outcomes inside the interval that the other half of the customers sets."""
    half = pd.util.hash_pandas_object(later["customer_id"], index=False).to_numpy() % 2 == 0
    predicted = twin.predict(features_of(later))
    interval = ConformalInterval(twin.interval_.coverage).fit(predicted[half], y[half])
    _, low, high = interval.around(predicted[~half]).T
    return float(((low <= y[~half]) & (y[~half] <= high)).mean())
