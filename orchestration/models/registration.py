"""From a trained candidate to a champion: judged, registered, promoted or not, and written down.

What a release says of a model (`meta.model_version`, `meta.model_evaluation`) is read from the
registry, where the evaluation is kept with the version: a build warehouse made anew tells the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb
import numpy as np
import pandas as pd

from ml.evaluation import metrics
from ml.evaluation.metrics import Comparison, Estimate
from ml.evaluation.plots import calibration_figure, gains_figure
from ml.promotion import Measure, decide, defined
from ml.registry import CHAMPION, EVALUATION, LEARNER, RULE, Candidate, Registry, Version
from orchestration.models.context import TrainingContext

EXAMPLE_ROWS = 50

CREATE = """
create schema if not exists meta;
create table if not exists meta.model_evaluation (
    model_name varchar, version varchar, metric varchar, value double, low double, high double,
    rule_value double, difference_low double, difference_high double, better varchar,
    champion boolean, horizon_months integer, trained_as_of date, note varchar
);
create table if not exists meta.model_version (
    model_name varchar, version varchar, alias varchar, mlflow_run_id varchar, trained_as_of date,
    source varchar, kind varchar, horizon_months integer, main_metric varchar, value double,
    low double, high double, rule_value double, data_digest varchar, note varchar
);
"""


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
    """Predictions for the evaluation period's customers beside what happened.

    `deciding` names the measure by which a challenger must be ahead.
    """

    y: np.ndarray
    learner: np.ndarray
    rule: np.ndarray
    measures: Sequence[Measure]
    deciding: str
    unit: str

    def figures(self) -> dict[str, object]:
        found: dict[str, object] = {
            "calibration": calibration_figure(self.y, self.learner, self.unit)
        }
        if self.y.sum() > 0:
            scores = {"model": self.learner, "rule": self.rule}
            found["gains"] = gains_figure(self.y, scores)
        return found


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


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """The tables that tell of the models, where they are missing."""
    connection.execute(CREATE)


def register(
    connection: duckdb.DuckDBPyConnection,
    context: TrainingContext,
    registry: Registry,
    trained: Trained,
    champion: Version | None,
    reason: str,
) -> TrainingReport:
    """Register the learner as challenger, promote it if it earns it; where nothing did yet, the
    rule scores.

    Parameters
    ----------
    champion
        The champion to compare with; None where there is none for this bank, horizon and features.
    reason
        Why it was trained, for the record.
    """
    evaluation = trained.evaluation
    measures = defined(evaluation.measures, evaluation.y)
    without_meaning = [one.name for one in evaluation.measures if one not in measures]
    decision = decide(
        measures,
        evaluation.deciding,
        evaluation.y,
        evaluation.learner,
        evaluation.rule,
        registry.load_twin(champion).predict(trained.later_features) if champion else None,
        seed=context.seed,
    )
    reasons = (reason, *decision.reasons)
    if without_meaning:
        reasons = (*reasons, f"without meaning for these outcomes: {', '.join(without_meaning)}")

    def candidate(kind: str, model: object, twin: object, table: pd.DataFrame) -> Candidate:
        return Candidate(
            name=trained.name,
            model=model,
            twin=twin,
            kind=kind,
            parameters=trained.parameters if kind == LEARNER else {"rule": type(model).__name__},
            metrics={**trained.further_metrics, **_flat(table)},
            tags={
                **trained.tags,
                "dagster_run_id": context.run_id,
                "code_version": context.code_version,
                "main_metric": evaluation.deciding,
            },
            example=trained.later_features.head(EXAMPLE_ROWS),
            figures=evaluation.figures(),
            tables={
                EVALUATION: table,
                "deciles": metrics.decile_table(
                    evaluation.y, evaluation.learner if kind == LEARNER else evaluation.rule
                ),
            },
        )

    own = _evaluation_table(measures, decision.against_rule)
    version = registry.register(candidate(LEARNER, trained.model, trained.twin, own))
    if decision.promote:
        registry.promote(version)
    elif champion is None:
        # Somebody has to score, and nothing beat the rule: the rule scores, and says so.
        own = _evaluation_table(measures, _rule_alone(decision.against_rule))
        registry.promote(registry.register(candidate(RULE, trained.rule, trained.rule, own)))
        reasons = (*reasons, "so the rule is champion")
    standing = registry.champion(trained.name)
    if standing is None:
        raise RuntimeError(f"model {trained.name} has no champion after training")
    note = "; ".join(filter(None, (trained.note, *reasons)))
    _write(connection, registry, standing, trained.horizon, note)
    return TrainingReport(
        trained.name,
        standing.version,
        standing.kind,
        trained=True,
        promoted=standing.version == version.version,
        reasons=reasons,
        metrics={name: one.score for name, one in decision.against_rule.items()},
        rule_metrics={name: one.other.value for name, one in decision.against_rule.items()},
    )


def keep(
    connection: duckdb.DuckDBPyConnection,
    registry: Registry,
    champion: Version,
    horizon: int | None,
    reasons: Sequence[str],
) -> TrainingReport:
    """The champion stays; what the release says of it is written from the registry."""
    _write(connection, registry, champion, horizon, "; ".join(filter(None, reasons)))
    return TrainingReport(
        champion.name, champion.version, champion.kind, False, False, tuple(filter(None, reasons))
    )


def switch_off(connection: duckdb.DuckDBPyConnection, name: str, reason: str) -> TrainingReport:
    """A model that this bank's records do not allow."""
    _clear(connection, name)
    connection.execute(
        "insert into meta.model_version (model_name, note) values (?, ?)", [name, reason]
    )
    return TrainingReport(name, None, "off", False, False, (reason,))


def _evaluation_table(
    measures: Sequence[Measure], compared: Mapping[str, Comparison]
) -> pd.DataFrame:
    rows = []
    for measure in measures:
        one = compared[measure.name]
        is_compared = measure.better != "zero"
        rows.append(
            {
                "metric": measure.name,
                "value": one.score.value,
                "low": one.score.low,
                "high": one.score.high,
                "rule_value": one.other.value if is_compared else None,
                "difference_low": one.difference.low if is_compared else None,
                "difference_high": one.difference.high if is_compared else None,
                "better": measure.better,
            }
        )
    return pd.DataFrame(rows)


def _rule_alone(compared: Mapping[str, Comparison]) -> dict[str, Comparison]:
    nothing = Estimate(0.0, 0.0, 0.0)
    return {name: Comparison(one.other, one.other, nothing) for name, one in compared.items()}


def _flat(table: pd.DataFrame) -> dict[str, float]:
    """The evaluation as MLflow's metrics: name, name_low, name_high, name_rule."""
    flat: dict[str, float | None] = {}
    for row in table.to_dict("records"):
        name = row["metric"]
        flat |= {
            str(name): row["value"],
            f"{name}_low": row["low"],
            f"{name}_high": row["high"],
            f"{name}_rule": row["rule_value"],
        }
    return {
        name: float(value) for name, value in flat.items() if value is not None and value == value
    }


def _clear(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    for table in ("model_evaluation", "model_version"):
        connection.execute(f"delete from meta.{table} where model_name = ?", [name])


def _write(
    connection: duckdb.DuckDBPyConnection,
    registry: Registry,
    champion: Version,
    horizon: int | None,
    note: str,
) -> None:
    name, tags = champion.name, champion.tags
    trained_as_of = date.fromisoformat(tags["trained_as_of"])
    table = registry.table(champion, EVALUATION)
    _clear(connection, name)
    connection.register("evaluation", table)
    connection.execute(
        """
        insert into meta.model_evaluation
        select ?, ?, metric, value, low, high, rule_value, difference_low, difference_high, better,
            true, ?, ?, ?
        from evaluation
        """,
        [name, champion.version, horizon, trained_as_of, champion.kind],
    )
    connection.unregister("evaluation")
    connection.execute(
        """
        insert into meta.model_version
        select ?, ?, ?, ?, ?, ?, ?, ?, metric, value, low, high, rule_value, ?, ?
        from meta.model_evaluation
        where model_name = ? and metric = ?
        """,
        [
            *(name, champion.version, CHAMPION, champion.run_id, trained_as_of),
            *(tags.get("source"), champion.kind, horizon, tags.get("data_digest"), note),
            *(name, tags["main_metric"]),
        ],
    )
