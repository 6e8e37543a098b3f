"""Training: candidates fitted at past cut-offs, judged on a later period, registered, promoted.

What decides is always the evaluation period, which no candidate has seen. The version that scores
is then fitted again on every cut-off whose labels are complete; its twin, fitted before the
evaluation period, is kept beside it for later comparisons.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb
import numpy as np
import pandas as pd

from ml.clv.model import LastPeriodAgain, TwoPartRegressor
from ml.evaluation import metrics
from ml.evaluation.metrics import Estimate, bootstrap
from ml.evaluation.plots import calibration_figure, gains_figure
from ml.promotion import Yardstick, decide
from ml.registry import CHAMPION, LEARNER, RULE, Candidate, Registry, Version, listed
from ml.response.model import OFFER, OfferBaseRate, ResponseModel
from orchestration.models.datasets import (
    CutoffPlan,
    clv_frame,
    contact_frame,
    digest,
    feature_columns,
    features_of,
    plan_cutoffs,
)

EXAMPLE_ROWS = 50
LEAST_CONTACTS, LEAST_RESPONSES = 400, 40
EVALUATED_SHARE = 0.25

CREATE = """
create schema if not exists meta;
create table if not exists meta.model_evaluation (
    model_name varchar, version varchar, metric varchar, value double, low double, high double,
    rule_value double, better varchar, champion boolean, horizon_months integer,
    trained_as_of date, note varchar
);
create table if not exists meta.model_version (
    model_name varchar, version varchar, alias varchar, mlflow_run_id varchar, trained_as_of date,
    source varchar, kind varchar, horizon_months integer, main_metric varchar, value double,
    low double, high double, rule_value double, data_digest varchar, note varchar
);
"""


@dataclass(frozen=True)
class TrainingContext:
    """What training needs to know of the refresh it belongs to."""

    first_month: date
    as_of: date
    seed: int
    mode: str
    source: str
    tracking_uri: str
    artifact_root: str
    run_id: str
    code_version: str

    @property
    def as_of_month(self) -> date:
        return self.as_of.replace(day=1)

    def registry(self) -> Registry:
        return Registry(self.tracking_uri, self.artifact_root)


@dataclass(frozen=True)
class Measure:
    """A metric of an evaluation, and which way is better."""

    name: str
    metric: Callable[[np.ndarray, np.ndarray], float]
    better: str


@dataclass(frozen=True)
class TrainingReport:
    """What came of a model in this refresh."""

    model_name: str
    version: str | None
    kind: str
    trained: bool
    promoted: bool
    reasons: tuple[str, ...]
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    rule_metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Predictions for the evaluation period's customers beside what happened."""

    y: np.ndarray
    learner: np.ndarray
    rule: np.ndarray
    measures: Sequence[Measure]
    yardstick: Yardstick
    unit: str

    def figures(self) -> dict[str, object]:
        scores = {"model": self.learner, "rule": self.rule}
        return {
            "calibration": calibration_figure(self.y, self.learner, self.unit),
            "gains": gains_figure(self.y, scores),
        }


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

    `auto` trains where there is no champion, or the one there was made for another bank, horizon or
    feature list: such a champion must not score.
    """
    if champion is None:
        return True, "there is no champion yet"
    differing = [name for name, value in wanted.items() if champion.tags.get(name) != value]
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
    connection.execute(CREATE)
    plan = plan_cutoffs(context.first_month, context.as_of_month)
    if plan is None:
        return _off(
            connection,
            "clv",
            "history too short: 15 months are needed for a horizon of 6, 27 for one of 12",
        )
    note = "" if plan.horizon == 12 else "history too short for 12 months: a horizon of 6 is used"
    wanted = {
        "source": context.source,
        "horizon_months": str(plan.horizon),
        "features": listed(feature_columns(connection)),
    }
    registry = context.registry()
    champion = registry.champion("clv")
    train, reason = needs_training(context.mode, champion, wanted)
    if not train and champion is not None:
        return _kept(connection, champion, reason, note)
    _training_allowed(context, "clv", reason)

    frame, y = clv_frame(connection, plan.training, plan.horizon)
    later, later_y = clv_frame(connection, (plan.evaluation,), plan.horizon)
    features, later_features = features_of(frame), features_of(later)
    twin = TwoPartRegressor(seed=context.seed).fit(features, y).calibrate(later_features, later_y)
    rule = LastPeriodAgain().fit(features, y).calibrate(later_features, later_y)
    evaluation = Evaluation(
        later_y,
        twin.predict(later_features),
        rule.predict(later_features),
        CLV_MEASURES,
        Yardstick("gini", metrics.gini),
        "currency units",
    )
    all_frame, all_y = clv_frame(connection, plan.refit, plan.horizon)
    model = TwoPartRegressor(seed=context.seed).fit(features_of(all_frame), all_y)
    model.interval_ = twin.interval_
    trained = Trained(
        "clv",
        model,
        twin,
        rule,
        evaluation,
        later_features,
        {**wanted, "data_digest": digest(all_frame, all_y), "trained_as_of": str(context.as_of)},
        {
            **twin.get_params(),
            "horizon_months": plan.horizon,
            "training_cutoffs": _months(plan.training),
            "evaluation_cutoff": f"{plan.evaluation:%Y-%m}",
            "refit_cutoffs": _months(plan.refit),
            "training_rows": len(y),
            "evaluation_rows": len(later_y),
            "interval_coverage_nominal": twin.interval_.coverage,
        },
        plan.horizon,
        note,
        _coverage(plan, later, later_y, twin),
    )
    comparable = champion if champion and not _differs(champion, wanted) else None
    return _register(connection, context, registry, trained, comparable, reason)


def train_response(
    connection: duckdb.DuckDBPyConnection, context: TrainingContext
) -> TrainingReport:
    """Probability of response when contacted: calibrated boosting against the offer's base rate.

    Raises
    ------
    RuntimeError
        When training is switched off and no champion fits.
    """
    connection.execute(CREATE)
    contacts = contact_frame(connection)
    if contacts.empty:
        return _off(connection, "response", "this source has no campaign whose responses are in")
    responses = int(contacts["responded"].sum())
    border = evaluation_border(contacts)
    if len(contacts) < LEAST_CONTACTS or responses < LEAST_RESPONSES or border is None:
        return _off(
            connection,
            "response",
            f"too few matured contacts: {len(contacts)} with {responses} responses; "
            f"{LEAST_CONTACTS} with {LEAST_RESPONSES} are needed, over several campaigns",
        )
    wanted = {
        "source": context.source,
        "features": listed([*feature_columns(connection), OFFER]),
    }
    registry = context.registry()
    champion = registry.champion("response")
    train, reason = needs_training(context.mode, champion, wanted)
    if not train and champion is not None:
        return _kept(connection, champion, reason, "")
    _training_allowed(context, "response", reason)

    is_later = contacts["contacted_on"] >= border
    is_earlier = contacts["matured_on"] < border
    features = features_of(contacts)
    y = contacts["responded"].to_numpy()
    later_y = y[is_later.to_numpy()]
    earlier, later = features[is_earlier], features[is_later]
    twin = ResponseModel(seed=context.seed).fit(earlier, y[is_earlier.to_numpy()])
    rule = OfferBaseRate().fit(earlier, y[is_earlier.to_numpy()])
    evaluation = Evaluation(
        later_y,
        twin.predict(later),
        rule.predict(later),
        RESPONSE_MEASURES,
        Yardstick("log_score", metrics.log_score, higher_is_better=False),
        "probability",
    )
    trained = Trained(
        "response",
        ResponseModel(seed=context.seed).fit(features, y),
        twin,
        OfferBaseRate().fit(features, y),
        evaluation,
        later,
        {**wanted, "data_digest": digest(features, y), "trained_as_of": str(context.as_of)},
        {
            **twin.get_params(),
            "evaluated_from": str(border.date()),
            "training_rows": int(is_earlier.sum()),
            "evaluation_rows": int(is_later.sum()),
            "responses": responses,
        },
        None,
        "",
        {},
    )
    comparable = champion if champion and not _differs(champion, wanted) else None
    return _register(connection, context, registry, trained, comparable, reason)


@dataclass(frozen=True)
class Trained:
    """A learner fitted twice, its rule, and how they fared."""

    name: str
    model: object
    twin: object
    rule: object
    evaluation: Evaluation
    later_features: pd.DataFrame
    tags: Mapping[str, str]
    parameters: Mapping[str, object]
    horizon: int | None
    note: str
    further_metrics: Mapping[str, float]


def _register(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    registry: Registry,
    trained: Trained,
    champion: Version | None,
    reason: str,
) -> TrainingReport:
    evaluation = trained.evaluation
    estimates = {
        measure.name: bootstrap(measure.metric, evaluation.y, evaluation.learner, seed=context.seed)
        for measure in evaluation.measures
    }
    rule_values = {
        measure.name: measure.metric(evaluation.y, evaluation.rule)
        for measure in evaluation.measures
    }
    tags = {
        **trained.tags,
        "dagster_run_id": context.run_id,
        "code_version": context.code_version,
    }
    logged = {**trained.further_metrics}
    for name, estimate in estimates.items():
        logged |= {
            name: estimate.value,
            f"{name}_low": estimate.low,
            f"{name}_high": estimate.high,
            f"{name}_rule": rule_values[name],
        }

    def candidate(kind: str, model: object, twin: object) -> Candidate:
        return Candidate(
            name=trained.name,
            model=model,
            twin=twin,
            kind=kind,
            parameters=trained.parameters if kind == LEARNER else {"rule": type(model).__name__},
            metrics={key: value for key, value in logged.items() if np.isfinite(value)},
            tags=tags,
            example=trained.later_features.head(EXAMPLE_ROWS),
            figures=evaluation.figures(),
            tables={"deciles": metrics.decile_table(evaluation.y, evaluation.learner)},
        )

    champion_scores = (
        registry.load_twin(champion).predict(trained.later_features) if champion else None
    )
    decision = decide(
        evaluation.yardstick,
        evaluation.y,
        evaluation.learner,
        evaluation.rule,
        champion_scores,
        seed=context.seed,
    )
    version = registry.register(candidate(LEARNER, trained.model, trained.twin))
    reasons = (reason, *decision.reasons)
    rows = [_Row(version, estimates, rule_values)]
    if decision.promote:
        registry.promote(version)
    elif champion is None:
        # Somebody has to score, and nothing beat the rule: the rule scores, and says so.
        version = registry.register(candidate(RULE, trained.rule, trained.rule))
        registry.promote(version)
        reasons = (*reasons, "so the rule is champion")
        own = {
            measure.name: bootstrap(
                measure.metric, evaluation.y, evaluation.rule, seed=context.seed
            )
            for measure in evaluation.measures
        }
        rows.append(_Row(version, own, rule_values))
    _write_evaluation(connection, trained, context, rows)
    standing = registry.champion(trained.name)
    if standing is None:
        raise RuntimeError(f"model {trained.name} has no champion after training")
    note = "; ".join(filter(None, (trained.note, *reasons)))
    _write_version(connection, standing, note, evaluation.yardstick.name)
    return TrainingReport(
        trained.name,
        standing.version,
        standing.kind,
        trained=True,
        promoted=standing.version == version.version,
        reasons=reasons,
        metrics=estimates,
        rule_metrics=rule_values,
    )


@dataclass(frozen=True)
class _Row:
    version: Version
    estimates: Mapping[str, Estimate]
    rule_values: Mapping[str, float]


def _write_evaluation(
    connection: duckdb.DuckDBPyConnection,
    trained: Trained,
    context: TrainingContext,
    rows: Sequence[_Row],
) -> None:
    better = {measure.name: measure.better for measure in trained.evaluation.measures}
    for row in rows:
        connection.execute(
            "delete from meta.model_evaluation where model_name = ? and version = ?",
            [row.version.name, row.version.version],
        )
        for name, estimate in row.estimates.items():
            # What is best at zero is not compared with the rule by "more" or "less".
            compared = row.rule_values[name] if better[name] != "zero" else None
            connection.execute(
                "insert into meta.model_evaluation values (?, ?, ?, ?, ?, ?, ?, ?, false, ?, ?, ?)",
                [
                    row.version.name,
                    row.version.version,
                    name,
                    _finite(estimate.value),
                    _finite(estimate.low),
                    _finite(estimate.high),
                    _finite(compared),
                    better[name] if better[name] != "zero" else "lower",
                    trained.horizon,
                    context.as_of,
                    row.version.kind,
                ],
            )


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


MAIN_METRIC = {"clv": "gini", "response": "log_score"}


def _write_version(
    connection: duckdb.DuckDBPyConnection, champion: Version, note: str, main_metric: str
) -> None:
    name = champion.name
    connection.execute(
        "update meta.model_evaluation set champion = (version = ?) where model_name = ?",
        [champion.version, name],
    )
    connection.execute("delete from meta.model_version where model_name = ?", [name])
    connection.execute(
        """
        insert into meta.model_version
        select ?, ?, ?, ?, ?::date, ?, ?, ?::integer, ?, max(value), max(low), max(high),
            max(rule_value), ?, ?
        from meta.model_evaluation
        where model_name = ? and version = ? and metric = ?
        """,
        [
            name,
            champion.version,
            CHAMPION,
            champion.run_id,
            champion.tags.get("trained_as_of"),
            champion.tags.get("source"),
            champion.kind,
            champion.tags.get("horizon_months"),
            main_metric,
            champion.tags.get("data_digest"),
            note,
            name,
            champion.version,
            main_metric,
        ],
    )


def _kept(
    connection: duckdb.DuckDBPyConnection, champion: Version, reason: str, note: str
) -> TrainingReport:
    _write_version(
        connection, champion, "; ".join(filter(None, (note, reason))), MAIN_METRIC[champion.name]
    )
    return TrainingReport(champion.name, champion.version, champion.kind, False, False, (reason,))


def _off(connection: duckdb.DuckDBPyConnection, name: str, reason: str) -> TrainingReport:
    connection.execute("delete from meta.model_evaluation where model_name = ?", [name])
    connection.execute("delete from meta.model_version where model_name = ?", [name])
    connection.execute(
        "insert into meta.model_version (model_name, note) values (?, ?)", [name, reason]
    )
    return TrainingReport(name, None, "off", False, False, (reason,))


def _training_allowed(context: TrainingContext, name: str, reason: str) -> None:
    if context.mode == "never":
        raise RuntimeError(
            f"model {name} must be trained ({reason}), but training is switched off; "
            "run make refresh TRAIN=auto"
        )


def _differs(champion: Version, wanted: Mapping[str, str]) -> bool:
    return any(champion.tags.get(name) != value for name, value in wanted.items())


def _months(cutoffs: Sequence[date]) -> str:
    return json.dumps([f"{month:%Y-%m}" for month in cutoffs])


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


def _coverage(
    plan: CutoffPlan, later: pd.DataFrame, y: np.ndarray, twin: TwoPartRegressor
) -> dict[str, float]:
    """Share of outcomes inside the interval that the other half of the customers sets."""
    half = pd.util.hash_pandas_object(later["customer_id"], index=False).to_numpy() % 2 == 0
    features = features_of(later)
    setter = TwoPartRegressor(**twin.get_params())
    setter.__dict__.update(
        {name: value for name, value in twin.__dict__.items() if name != "interval_"}
    )
    setter.calibrate(features[half], y[half])
    _, low, high = setter.predict_interval(features[~half]).T
    inside = (low <= y[~half]) & (y[~half] <= high)
    return {"interval_coverage": float(inside.mean())}
