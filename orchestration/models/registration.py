"""Registers the candidates that were tried, promotes a champion and records the result.

The tables `meta.model_*` of a release are read from the registry, which stores the evaluation with
the version, so a rebuilt build warehouse contains the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ml.audit import Event
from ml.card import CardFacts, model_card
from ml.evaluation.drift import profile_of
from ml.evaluation.metrics import Comparison, Estimate, decile_table
from ml.promotion import Decision, Measure
from ml.registry import (
    CHAMPION,
    EVALUATION,
    LEARNER,
    PREVIOUS_CHAMPION,
    PROMOTED_AT,
    PROMOTED_BY,
    PROMOTION_REASON,
    RULE,
    Candidate,
    Registry,
    Version,
)
from orchestration.models.context import TrainingContext
from orchestration.models.datasets import digest, published_of
from orchestration.models.examination import (
    BIAS,
    Examination,
    Reach,
    by_kind,
    figures_of,
    score_profile,
)
from orchestration.models.governance import (
    BOUNDS,
    COMPARED_WITH,
    PASSED,
    REASONS,
    REFUSED,
    TRAINER,
    VERDICT,
)
from orchestration.models.study import Material, Study
from orchestration.platform.tables import append_rows, ensure_table

# Tables kept with a version, by name.
PROFILE, SCORE_PROFILE = "profile", "score_profile"
DECILES, COVERAGE, FAIRNESS = "deciles", "coverage", "fairness"
BY_CUTOFF, BY_KIND, DRIFT, IMPORTANCE = "by_cutoff", "by_kind", "drift", "importance"
# Tables of the release that the registry fills.
OF_CHAMPIONS = ("model_decile", "model_evaluation", "model_kind", "model_version")
CARD = "model_card.md"
POLICY = "policy"
LEARNED_UNTIL = "learned_until"
# MLflow refuses longer tags of a version.
LONGEST_TAG = 4_000


@dataclass(frozen=True)
class TrainingReport:
    """The result for one model in this refresh."""

    model_name: str
    version: str | None
    kind: str
    trained: bool
    promoted: bool
    reasons: tuple[str, ...]
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    rule_metrics: Mapping[str, float] = field(default_factory=dict)
    run_id: str = ""


@dataclass(frozen=True)
class Tried:
    """A learner fitted twice (`twin` before the evaluation period), with its evaluation."""

    learner: str
    model: Any
    twin: Any
    measures: Sequence[Measure]
    rule_score: np.ndarray
    examination: Examination
    reach: Reach
    decision: Decision


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables about the models where they are missing or have an older form."""
    columns = {
        name
        for (name,) in connection.execute(
            "select column_name from duckdb_columns() "
            "where schema_name = 'meta' and table_name = 'model_version'"
        ).fetchall()
    }
    if columns and "promoted_by" not in columns:
        # Their content comes from the registry at every refresh.
        connection.execute("drop table meta.model_version")
    for table in OF_CHAMPIONS:
        ensure_table(connection, f"meta.{table}")


def is_on(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Whether the bank's records allow a model, and it has a champion."""
    return bool(
        connection.execute(
            "select 1 from meta.model_version where model_name = ? and version is not null", [name]
        ).fetchall()
    )


def register_learner(
    registry: Registry,
    context: TrainingContext,
    study: Study,
    material: Material,
    tried: Tried,
    rule: Any,
    *,
    alias: bool,
    compared_with: str,
) -> Version:
    """Register a learner that was tried, with the policy's verdict; `alias` makes it challenger.

    `rule` is the one fitted before the evaluation.
    `compared_with` is the version it was compared with, empty for none.
    """
    table = _evaluation_table(tried.measures, tried.decision.against_rule)
    return registry.register(
        Candidate(
            name=study.name,
            model=tried.model,
            twin=tried.twin,
            kind=LEARNER,
            parameters={
                **tried.twin.get_params(),
                **material.parameters,
                "learner": tried.learner,
                "training_rows": len(material.train),
                "evaluation_rows": len(material.later),
                "refit_rows": len(material.refit),
            },
            metrics={
                **_coverage_metrics(tried.examination),
                **_kind_metrics(tried.examination.by_kind),
                **_flat(table),
            },
            tags={
                **_tags(context, study, material, tried.learner),
                VERDICT: PASSED if tried.decision.promote else REFUSED,
                REASONS: "; ".join(tried.decision.reasons)[:LONGEST_TAG],
                COMPARED_WITH: compared_with,
                BOUNDS: "; ".join(
                    f"{name}: {verdict}" for name, verdict in tried.decision.verdicts.items()
                ),
            },
            example=published_of(material.later.frame),
            **_described(context, study, tried.learner, LEARNER, table),
            figures=figures_of(
                study,
                tried.examination,
                tried.rule_score,
                tried.reach,
                _nominal(tried.twin),
            ),
            tables={
                **_tables(table, tried),
                **study.further(tried.twin, rule, material.later, context.seed),
            },
            texts={CARD: model_card(_facts(context, study, material, tried, LEARNER, table))},
            alias=alias,
        )
    )


def register_rule(
    registry: Registry,
    context: TrainingContext,
    study: Study,
    material: Material,
    rule: Any,
    twin: Any,
    tried: Tried,
) -> Version:
    """Register the rule when no learner beat it, with the figures of that comparison."""
    table = _evaluation_table(tried.measures, _rule_alone(tried.decision.against_rule))
    y, _, customers = tried.examination.judged
    kinds = by_kind(study, (y, tried.rule_score, customers), material.later, context.seed)
    deciles = None if study.kind == "label" else decile_table(y, tried.rule_score)
    tried = replace(tried, examination=replace(tried.examination, by_kind=kinds))
    return registry.register(
        Candidate(
            name=study.name,
            model=rule,
            twin=twin,
            kind=RULE,
            parameters={
                **material.parameters,
                "learner": study.rule.name,
                "refit_rows": len(material.refit),
            },
            metrics={**_kind_metrics(kinds), **_flat(table)},
            tags=_tags(context, study, material, study.rule.name),
            example=published_of(material.later.frame),
            **_described(context, study, study.rule.name, RULE, table),  # type: ignore[arg-type]
            tables={
                EVALUATION: table,
                PROFILE: profile_of(material.refit.features[list(rule.columns_)]),
                SCORE_PROFILE: score_profile(rule, material),
                **({} if kinds is None else {BY_KIND: kinds}),
                **({} if deciles is None else {DECILES: deciles}),
                **study.further(twin, twin, material.later, context.seed),
            },
            texts={CARD: model_card(_facts(context, study, material, tried, RULE, table))},
        )
    )


def install(
    registry: Registry, context: TrainingContext, version: Version, reason: str, event: Event
) -> None:
    """Make a version champion by the policy alone."""
    standing = registry.champion(version.name)
    if standing is not None and standing.version == version.version:
        return
    registry.promote(
        version,
        by=POLICY,
        reason=reason[:LONGEST_TAG],
        event=event,
        mode=context.promotion,
        dagster_run_id=context.run_id,
    )


def keep(
    connection: duckdb.DuckDBPyConnection,
    registry: Registry,
    champion: Version,
    horizon: int | None,
    reasons: Sequence[str],
) -> TrainingReport:
    """Write the champion's rows of the release from the registry."""
    given = tuple(filter(None, reasons))
    _write(connection, registry, champion, horizon, "; ".join(given))
    return TrainingReport(
        champion.name,
        champion.version,
        champion.kind,
        False,
        False,
        given,
        run_id=champion.run_id,
    )


def switch_off(connection: duckdb.DuckDBPyConnection, name: str, reason: str) -> TrainingReport:
    """Record that this bank's records do not allow the model, and why."""
    _clear(connection, name)
    connection.execute(
        "insert into meta.model_version (model_name, note) values (?, ?)", [name, reason]
    )
    return TrainingReport(name, None, "off", False, False, (reason,))


def _tags(
    context: TrainingContext, study: Study, material: Material, learner: str
) -> dict[str, str]:
    return {
        **study.wanted,
        "data_digest": digest(material.refit.frame, material.refit.y),
        "trained_as_of": str(context.as_of),
        "dagster_run_id": context.run_id,
        "code_version": context.code_version,
        TRAINER: context.trainer,
        "learner": learner,
        "main_metric": study.deciding,
        # Of the scoring version: it has not been trained on a later cohort.
        LEARNED_UNTIL: str(material.refit.cutoffs[-1]),
    }


def _described(
    context: TrainingContext, study: Study, learner: str, kind: str, table: pd.DataFrame
) -> dict[str, str]:
    """Name and description of a run and its version, in words."""
    (row,) = table[table["metric"] == study.deciding].to_dict("records")
    beside = ""
    if kind == LEARNER and pd.notna(row["rule_value"]):
        beside = f"; the rule ({study.rule.name}): {row['rule_value']:.4g}"
    return {
        "purpose": study.purpose,
        "title": f"{study.name} {learner} as of {context.as_of:%Y-%m}",
        "description": (
            f"{learner} ({'the rule itself' if kind == RULE else 'a learner'}) for {study.name}, "
            f"trained as of {context.as_of}. {study.deciding} on the evaluation period: "
            f"{row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g}){beside}. "
            "See the model card for details."
        ),
    }


def _nominal(model: Any) -> float | None:
    return float(model.interval_.coverage) if hasattr(model, "interval_") else None


def _tables(table: pd.DataFrame, tried: Tried) -> dict[str, pd.DataFrame]:
    examination, reach = tried.examination, tried.reach
    found = {
        EVALUATION: table,
        PROFILE: reach.profile,
        SCORE_PROFILE: reach.score_profile,
        BY_CUTOFF: examination.by_cutoff,
        DECILES: examination.deciles,
        COVERAGE: examination.coverage,
        FAIRNESS: examination.fairness,
        BY_KIND: examination.by_kind,
        DRIFT: reach.drift,
        IMPORTANCE: _importance(reach),
    }
    return {name: one for name, one in found.items() if one is not None}


def _importance(reach: Reach) -> pd.DataFrame | None:
    if reach.importance is None:
        return None
    ordered = reach.importance.sort_values(ascending=False, kind="stable")
    return pd.DataFrame({"feature": ordered.index, "mean_contribution": ordered.to_numpy()})


def _facts(
    context: TrainingContext,
    study: Study,
    material: Material,
    tried: Tried,
    kind: str,
    table: pd.DataFrame,
) -> CardFacts:
    examination, is_learner = tried.examination, kind == LEARNER
    model = tried.model

    def months(name: str) -> list[date]:
        listed = json.loads(str(material.parameters.get(name, "[]")))
        return [date.fromisoformat(f"{month}-01") for month in listed]

    return CardFacts(
        name=study.name,
        purpose=study.purpose,
        learner=tried.learner if is_learner else study.rule.name,
        kind=kind,
        trained_as_of=context.as_of,
        horizon_months=study.horizon,
        training_cutoffs=months("training_cutoffs"),
        evaluation_cutoffs=months("evaluation_cutoffs"),
        refit_cutoffs=months("refit_cutoffs"),
        rows=len(material.refit),
        features=list(model.columns_) if is_learner else [],
        data_digest=digest(material.refit.frame, material.refit.y),
        code_version=context.code_version,
        dagster_run_id=context.run_id,
        trainer=context.trainer,
        evaluation=table,
        reasons=tried.decision.reasons,
        verdicts=tried.decision.verdicts,
        limits=study.limits,
        by_cutoff=examination.by_cutoff if is_learner and len(examination.by_cutoff) > 1 else None,
        deciles=examination.deciles if is_learner else None,
        coverage=examination.coverage if is_learner else None,
        nominal_coverage=_nominal(tried.twin),
        fairness=examination.fairness if is_learner else None,
        by_kind=examination.by_kind,
        drift=tried.reach.drift if is_learner else None,
        importance=_importance(tried.reach) if is_learner else None,
        unavailable={
            "By cut-off": "earlier cut-offs are judged when training is asked for (make train)"
        },
    )


def _coverage_metrics(examination: Examination) -> dict[str, float]:
    share = examination.interval_coverage
    if share is None:
        return {}
    return {
        "interval_coverage": share.value,
        "interval_coverage_low": share.low,
        "interval_coverage_high": share.high,
    }


def _kind_metrics(kinds: pd.DataFrame | None) -> dict[str, float]:
    """Level and ranking of each kind that was judged: total_bias_person, auc_person."""
    rows = [] if kinds is None else kinds.to_dict("records")
    named = {
        f"{metric}_{row['customer_kind']}": row[figure]
        for row in rows
        for metric, figure in ((BIAS, "bias"), (row["metric"], "value"))
    }
    return {name: float(value) for name, value in named.items() if np.isfinite(value)}


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
    for table in OF_CHAMPIONS:
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
    for logged, kept in ((BY_KIND, "meta.model_kind"), (DECILES, "meta.model_decile")):
        if registry.has_table(champion, logged):
            rows = registry.table(champion, logged)
            append_rows(connection, kept, rows.assign(model_name=name, version=champion.version))
    connection.execute(
        """
        insert into meta.model_version
        select ?, ?, ?, ?, ?, ?, ?, ?, ?, metric, value, low, high, rule_value, ?, ?, ?,
            try_cast(nullif(?, '') as timestamptz), ?, nullif(?, ''), ?
        from meta.model_evaluation
        where model_name = ? and metric = ?
        """,
        [
            *(name, champion.version, CHAMPION, champion.run_id, trained_as_of),
            *(tags.get("source"), champion.kind, tags.get("learner"), horizon),
            *(tags.get("data_digest"), tags.get("trainer"), tags.get(PROMOTED_BY)),
            *(tags.get(PROMOTED_AT, ""), tags.get(PROMOTION_REASON)),
            *(tags.get(PREVIOUS_CHAMPION, ""), note, name, tags["main_metric"]),
        ],
    )
