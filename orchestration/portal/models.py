"""Models: which version scores, how it was judged, what drifts, who approved it; a page each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from expectations.suites.models import MOST_BIAS, MOST_DRIFT
from orchestration.decisions.reason_words import feature_words
from orchestration.models.cutoffs import LONG_HORIZON
from orchestration.models.reason_words import METRICS, verdict
from orchestration.models.studies import STUDIES
from orchestration.portal.page import Page, Part, Release
from orchestration.valuation.queries import Row
from reports.words import Phrase

# Table of the page → its query.
TABLES = {
    "models": "model_version",
    "evaluation": "model_evaluation",
    "kinds": "model_kind",
    "deciles": "model_decile",
    "drift": "model_drift",
    "monitoring": "model_monitoring",
    "history": "model_history",
}
SHOWN_DRIFT = 20
# One training leaves the same figures in every release that it scores.
COHORT = ("model_name", "version", "judged", "cutoff", "metric")


def content(release: Release) -> Row:
    tables = _tables(release)
    main = {
        (row["model_name"], row["metric"]): row
        for row in tables["evaluation"]
        if row["note"] != "rule"
    }
    latest = {row["model_name"]: row for row in tables["monitoring"] if _is_main(row, tables)}
    return {
        "models": [
            {name: value for name, value in row.items() if name != "kind"}
            | {
                # A row's `kind` is the class of its line.
                "scored_by": row["kind"],
                "note": verdict(row["note"]),
                "label": STUDIES[row["model_name"]].label,
                "file": Part(row["model_name"], {}).file,
                "ahead": main.get((row["model_name"], row["main_metric"])),
                "monitored": latest.get(row["model_name"]),
            }
            for row in tables["models"]
            if row["model_name"] in STUDIES
        ],
        "metrics": METRICS,
        "tables": {name: rows for name, rows in tables.items() if rows},
    }


def parts(release: Release) -> Iterator[Part]:
    tables = _tables(release)
    before = _versions_before(release, tables["models"])
    for row in tables["models"]:
        name = row["model_name"]
        if name not in STUDIES:
            continue
        study = STUDIES[name]
        own = {
            table: [one for one in rows if one["model_name"] == name]
            for table, rows in tables.items()
        }
        yield Part(
            name,
            {
                "model": row | {"note": verdict(row["note"])},
                "study": study,
                "purpose": Phrase(study.purpose, row["horizon_months"] or LONG_HORIZON),
                "reads": study.reads,
                "writes": [f"scores.{study.scores}.{one.name}" for one in study.columns],
                "metrics": METRICS,
                "most_bias": MOST_BIAS,
                "most_drift": MOST_DRIFT,
                "evaluation": own["evaluation"],
                "kinds": [one | {"note": verdict(one["note"])} for one in own["kinds"]],
                "deciles": own["deciles"],
                "in_shares": study.columns[0].type == "double",
                "score_drift": next(
                    (one for one in own["drift"] if one["subject"] == "score"), None
                ),
                "drift": [
                    one | {"words": feature_words(one["feature"])}
                    for one in own["drift"]
                    if one["subject"] == "feature"
                ][:SHOWN_DRIFT],
                "drift_found": sum(one["subject"] == "feature" for one in own["drift"]),
                "monitoring": own["monitoring"],
                "history": [one | {"reason": verdict(one["reason"])} for one in own["history"]],
                "before": before.get(name),
                "tables": {table: rows for table, rows in own.items() if rows},
            },
        )


def _tables(release: Release) -> dict[str, list[Row]]:
    found = {name: release.rows(query) for name, query in TABLES.items()}
    found["monitoring"] = _over_time(release, found["monitoring"])
    return found


def _is_main(row: Row, tables: dict[str, list[Row]]) -> bool:
    """Whether a monitored figure is the deciding one of the version that scores."""
    return any(
        (row["model_name"], row["version"], row["metric"])
        == (one["model_name"], one["version"], one["main_metric"])
        for one in tables["models"]
    )


def _over_time(release: Release, rows: Iterable[Row]) -> list[Row]:
    """The figures of this release and of those kept from before it, each cohort once."""
    found: dict[tuple[Any, ...], Row] = {}
    for one in rows:
        found[tuple(one[name] for name in COHORT)] = one
    for before in release.earlier():
        for one in before.rows("model_monitoring"):
            found.setdefault(tuple(one[name] for name in COHORT), one)
    return sorted(found.values(), key=lambda one: (one["model_name"], one["metric"], one["cutoff"]))


def _versions_before(release: Release, models: Iterable[Row]) -> dict[str, Row]:
    """Of each model, the last other version that scored in a release kept from before, with its
    evaluation by metric."""
    now = {row["model_name"]: row["version"] for row in models if row["version"]}
    found: dict[str, Row] = {}
    for before in release.earlier():
        evaluation = before.rows("model_evaluation")
        for row in before.rows("model_version"):
            name = row["model_name"]
            if name in found or name not in now or row["version"] in (None, now[name]):
                continue
            found[name] = row | {
                "release_id": before.release_id,
                "metrics": {one["metric"]: one for one in evaluation if one["model_name"] == name},
            }
    return found


PAGE = Page("models", content, parts, has_money=False)
