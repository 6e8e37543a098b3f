"""Today: the release at a glance, what changed since the one before, and what to do now."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.landing.switched_off import switched_off
from orchestration.platform.gate_report import gate_content
from orchestration.portal.page import QUERIES, Page, Release
from orchestration.release.value_report import priced_history, read_head, read_months
from orchestration.valuation.differences import SECTIONS, ReleasesNotCompared, read_differences
from orchestration.valuation.queries import Row

TASKS = "tasks"


def content(release: Release) -> Row:
    found = gate_content(release.connection)
    period, history = read_months(release.connection, release.month)
    changes = _changes(release)
    return {
        "head": read_head(release.connection),
        "gates": found["gates"],
        "overrides": found["overrides"],
        "bank": next(iter(release.rows("today_figures")), None),
        "scores": next(iter(release.rows("today_scores")), None),
        "plan": next(iter(release.rows("today_plan")), None),
        "unpriced_year": next(iter(release.rows("unpriced_year")), None),
        "history": priced_history(release.connection, history),
        "changes": changes,
        "tasks": list(_tasks(release)),
        "switched_off": switched_off(release.connection),
        "tables": {name: changes[name] for name in SECTIONS if changes and changes[name]},
    }


def _changes(release: Release) -> Row | None:
    """What differs from the release before; None for the first."""
    try:
        return read_differences(release.settings, None, release.release_id, tables=False)
    except ReleasesNotCompared:
        return None


def _tasks(release: Release) -> Iterator[Row]:
    """What there is to do: a query of `queries/tasks` each, named `<role>_<task>`."""
    for path in sorted((QUERIES / TASKS).glob("*.sql")):
        role, _, task = path.stem.partition("_")
        for row in release.rows(f"{TASKS}/{path.stem}"):
            if row["count"]:
                yield {"key": path.stem, "role": role, "task": task, **row}


PAGE = Page("today", content, file="index.html")
