"""`make retain`: end the storage of what nobody can return to, within the limits of the settings.

The audit trail, the served release, the release and the champions that a rollback returns to, and
what the kept releases name are never removed. Each removal is whole, and what depends on it follows
from what is left: a process that is killed in between is made up for by the next one.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.home import parts
from orchestration.home.status import size_rows
from orchestration.models.governance import open_registry
from orchestration.platform import audit
from orchestration.platform.engine import connect
from orchestration.platform.gates import RUNS
from orchestration.platform.identity import RETAIN
from orchestration.platform.model_store import check_model_store
from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import proposed, releases_of, surplus
from orchestration.platform.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

RELEASE_ID = re.compile(r"\d{4}-\d{2}-\d{8}T\d{6}-[0-9a-f]{4}")
# A store is rewritten when this share of it is free.
FREE_SHARE = 0.1
BUSY_SECONDS = 10
# Tags of Dagster's runs: what asked for them. Its run key asks once as long as the run is known.
ASKED_BY = ("dagster/schedule_name", "dagster/sensor_name")


@dataclass(frozen=True)
class Ended:
    """Something whose storage ends: its part of the home, its name and bytes."""

    part: str
    name: str
    size: int
    remove: Callable[[], object] = field(repr=False)


@dataclass
class _Needed:
    """What the kept releases name: their Dagster runs, and the versions of their models; `unread`
    are releases that cannot be read."""

    run_ids: set[str] = field(default_factory=set)
    versions: set[tuple[str, str]] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)


def retain(settings: Settings, *, dry_run: bool = False) -> dict[str, Any]:
    """End what is beyond the limits; returns what ended, with the sizes before and after.

    Call it with the home's lock, unless it is a `dry_run`, which writes nothing.

    Raises
    ------
    orchestration.platform.identity.ActRefused
        Without the role.
    """
    if dry_run:
        return _report(settings, dry_run=True)
    with audit.audited(settings, RETAIN, str(settings.home)) as doing:
        found = _report(settings, dry_run=False)
        counts = Counter(one["part"] for one in found["ended"])
        doing.detail = "; ".join(f"{part} {count}" for part, count in counts.items()) or "nothing"
    return found


def show_retention(found: Mapping[str, Any]) -> None:
    """Print the result of `retain`."""
    verb = "would be removed" if found["dry_run"] else "removed"
    counts = Counter(one["part"] for one in found["ended"])
    sums: Counter[str] = Counter()
    for one in found["ended"]:
        sums[one["part"]] += one["bytes"]
    for part, count in counts.items():
        print(f"  {part:<24}{count:>8,} {verb}, {parts.shown_size(sums[part])}")
    if not counts:
        print(f"  nothing {verb}")
    for note in found["notes"]:
        print(f"  note: {note}")
    print("Sizes before" + ("" if found["dry_run"] else ", after"))
    after = {row["part"]: row["size"] for row in size_rows(found["after"])}
    for row in size_rows(found["before"]):
        then = "" if found["dry_run"] else after.get(row["part"], "0 B")
        print(f"  {row['part']:<20}{row['size']:>12}{then:>12}")


def _report(settings: Settings, *, dry_run: bool) -> dict[str, Any]:
    before = parts.sizes(settings)
    notes: list[str] = []
    ended = []
    for one in _plan(settings, notes):
        if not dry_run:
            one.remove()
        ended.append({"part": one.part, "name": one.name, "bytes": one.size})
    if not dry_run:
        notes += _compact(settings)
    return {
        **{"home": str(settings.home), "dry_run": dry_run, "ended": ended, "notes": notes},
        **{"before": before, "after": parts.sizes(settings)},
    }


def _plan(settings: Settings, notes: list[str]) -> Iterator[Ended]:
    """What ends, each with what removes it, in an order that a kill may cut anywhere."""
    gone = surplus(settings)
    for path in gone:
        yield _file("release", path)
    waiting = proposed(settings)
    kept = [path for path in (*releases_of(settings), waiting) if path and path not in gone]
    names = {path.stem for path in kept}
    for part, folder in (
        ("reports of a release", settings.reports),
        ("customer pages", settings.customer_pages),
        ("export", settings.exports),
    ):
        for path in sorted(folder.glob("*")):
            if RELEASE_ID.fullmatch(path.name) and path.name not in names:
                yield _file(part, path)
    needed = _needed_by(settings, kept)
    for path in sorted((settings.reports / RUNS).glob("*")):
        if path.name not in needed.run_ids and _is_older(path, settings.kept_run_days):
            yield _file("gate report of a run", path)
    if needed.unread:
        notes.append(
            f"no run of Dagster or MLflow is removed: release {', '.join(needed.unread)} cannot be "
            "read, and what it needs is not known. Run make doctor"
        )
    else:
        yield from _dagster_runs(settings, needed)
        yield from _mlflow_runs(settings, needed, notes)
    for path in sorted((settings.home / "logs").glob("*")):
        if _is_older(path, settings.kept_log_days):
            yield _file("log", path)
    for path in sorted(settings.warehouse.parent.glob("damaged-*")):
        if _is_older(path, settings.kept_log_days):
            yield _file("damaged build warehouse", path)
    for path in parts.leftovers(settings):
        yield _file("temporary file", path)


def _file(part: str, path: Path) -> Ended:
    return Ended(part, path.name, parts.size_of(path), lambda: remove(path))


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; one that is gone already is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_older(path: Path, days: int) -> bool:
    try:
        return path.lstat().st_mtime < time.time() - days * parts.DAY
    except OSError:
        return False


def _needed_by(settings: Settings, kept: list[Path]) -> _Needed:
    found = _Needed()
    for path in kept:
        try:
            with connect(settings, path, read_only=True) as connection:
                for (run_id,) in (
                    connection.table("meta.release").project("dagster_run_id").fetchall()
                ):
                    found.run_ids.add(run_id)
                if has_table(connection, "meta.model_version"):
                    versions = connection.table("meta.model_version")
                    found.versions |= set(versions.project("model_name, version").fetchall())
        except duckdb.Error:
            found.unread.append(path.stem)
    return found


def _dagster_runs(settings: Settings, needed: _Needed) -> Iterator[Ended]:
    """Ended runs older than the limit, with their events and logs.

    Of each job the newest run of each schedule and sensor, whose run key must stay known, and the
    newest success stay.
    """
    own = settings.dagster_home / "history" / "runs.db"
    if not own.exists() and not _stores_elsewhere(settings):
        return
    from dagster import DagsterInstance

    with DagsterInstance.get() as instance:
        before = datetime.now(UTC) - timedelta(days=settings.kept_run_days)
        newest: set[tuple[str, ...]] = set()
        known = set()
        for record in instance.get_run_records():
            run = record.dagster_run
            known.add(run.run_id)
            asked = next((run.tags[tag] for tag in ASKED_BY if tag in run.tags), "")
            marks: set[tuple[str, ...]] = {(run.job_name, asked)} if asked else set()
            if run.is_success:
                marks.add((run.job_name, "", "success"))
            is_newest = bool(marks - newest)
            newest |= marks
            changed = record.update_timestamp.replace(tzinfo=UTC)
            if (
                run.is_finished
                and changed < before
                and not is_newest
                and run.run_id not in needed.run_ids
            ):
                yield Ended(
                    *("Dagster run", run.run_id),
                    sum(map(parts.size_of, _files_of(settings, run.run_id))),
                    partial(_end_run, settings, instance, run.run_id),
                )
        # A process that was killed after it had deleted the run.
        for path in sorted((own.parent / "runs").glob("*-*.db")):
            if path.stem not in known and _is_older(path, 1):
                for file in _files_of(settings, path.stem):
                    yield _file("Dagster run", file)


def _stores_elsewhere(settings: Settings) -> bool:
    configuration = settings.dagster_home / "dagster.yaml"
    return configuration.exists() and "storage:" in configuration.read_text()


def _files_of(settings: Settings, run_id: str) -> list[Path]:
    """The files of a run in Dagster's own storage."""
    events = settings.dagster_home / "history" / "runs"
    return [settings.dagster_home / "storage" / run_id, *sorted(events.glob(f"{run_id}.db*"))]


def _end_run(settings: Settings, instance: DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    for path in _files_of(settings, run_id):
        remove(path)


def _mlflow_runs(settings: Settings, needed: _Needed, notes: list[str]) -> Iterator[Ended]:
    own = settings.mlflow_tracking_uri == settings.own_model_store
    if own and not (settings.mlflow_home / "mlflow.db").exists():
        return
    check_model_store(settings)
    from ml.ending import end_runs, orphans, runs_to_end

    registry = open_registry(settings)
    before = datetime.now(UTC) - timedelta(days=settings.kept_model_days)
    store = settings.own_model_store if own else None
    artifacts = settings.mlflow_home / "artifacts"
    for run in runs_to_end(registry, before, needed.versions):
        folder = artifacts / run.experiment
        files = [folder / run.run_id, *(folder / "models" / one for one in run.model_ids)]

        def end(run: Any = run, files: list[Path] = files) -> None:
            problem = end_runs(registry, [run], store)
            if problem is None:
                for path in files:
                    remove(path)
            elif problem not in notes:
                notes.append(problem)

        yield Ended("MLflow run", run.run_id, sum(map(parts.size_of, files)), end)
    if own:
        for path in orphans(registry, artifacts, before):
            yield _file("MLflow run", path)


def _compact(settings: Settings) -> list[str]:
    """Return the free pages of the stores to the disk; one that is in use is left for next time."""
    notes = []
    history = settings.dagster_home / "history"
    for path in (
        settings.mlflow_home / "mlflow.db",
        *(history / "runs.db", history / "runs" / "index.db"),
    ):
        if not path.exists():
            continue
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
                ((free,),) = connection.execute("pragma freelist_count").fetchall()
                ((pages,),) = connection.execute("pragma page_count").fetchall()
                if free > pages * FREE_SHARE:
                    connection.execute("vacuum")
        except sqlite3.DatabaseError as error:
            notes.append(f"{path} keeps its free pages: {error}")
    return notes
