"""`make status`: what is served, what waits, what runs, and how large the home is."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb

import reports
from orchestration.home import parts
from orchestration.platform import audit, terminal
from orchestration.platform.engine import connect
from orchestration.platform.identity import APPROVE, PUBLISH, ROLLBACK
from orchestration.platform.lock import holder_and_run
from orchestration.platform.releases import (
    CURRENT,
    ReleaseDamaged,
    proposed,
    releases_of,
    served,
)
from orchestration.platform.settings import Settings
from orchestration.platform.wording import in_language
from reports.formats import ENGLISH, padded
from sources.message import Message

SHOWN_RUNS = 5
# Outcomes of runs in Dagster.
STATES = ("success", "failure", "canceled", "started", "starting", "queued", "canceling")
QUERIES = Path(__file__).parent
SERVING = (PUBLISH, APPROVE, ROLLBACK)
# Days after the end of a month by which its refresh is due, beyond its business day: weekends and
# holidays, and a few days to run again. Dagster's freshness policy has the same.
SLACK_DAYS = 9


def read_status(settings: Settings) -> dict[str, Any]:
    """The state of a home; unknown figures are None.

    Reads files alone, so that it also works on a read-only disk and during a refresh.
    """
    now = datetime.now(UTC)
    release, problem = _release(settings)
    runs = _runs(settings)
    waiting = proposed(settings)
    disk = shutil.disk_usage(settings.home) if settings.home.exists() else None
    return {
        "home": str(settings.home),
        "served": release and {**release, **_freshness(settings, release, now)},
        "problem": problem,
        "waits_for_approval": waiting and {"release": waiting.stem, "since": _changed(waiting)},
        "changing": holder(settings),
        "runs": runs and runs.last,
        "sizes": parts.sizes(settings),
        "releases": len(releases_of(settings)),
        "mlflow_runs": _count(settings.mlflow_home / "mlflow.db"),
        "dagster_runs": runs and runs.count,
        "disk_free": disk and disk.free,
        "disk_total": disk and disk.total,
    }


def show_status(found: Mapping[str, Any], language: str = ENGLISH) -> None:
    """Print the result of `read_status`."""

    def line(label: Message, text: str) -> None:
        print(f"  {padded(in_language(label, language), 16)} {in_language(text, language)}")

    print(in_language(Message("Home {0}", found["home"]), language))
    release = found["served"]
    if release:
        of_release = release["release"], release["as_of"], _minute(release["since"])
        line(Message("served"), Message("{0}, as of {1}, since {2}", *of_release))
        state = Message("fresh") if release["is_fresh"] else Message("overdue")
        if release["as_of_due"]:
            due = release["as_of_due"], release["due_by"]
            state = Message("{0}: {1} was due by {2}", state, *due)
        line(Message("its age"), Message("{0} days; {1}", release["age_days"], state))
    else:
        line(Message("served"), found["problem"] or Message("nothing yet; run make refresh"))
    waiting = found["waits_for_approval"]
    if waiting:
        since = Message("{0}, since {1}", waiting["release"], _minute(waiting["since"]))
        line(Message("waits"), since)
    line(Message("changing it"), found["changing"] or Message("nobody"))
    counts = (
        Message("unknown") if found[name] is None else f"{found[name]:,}"
        for name in ("releases", "mlflow_runs", "dagster_runs")
    )
    line(Message("holds"), Message("{0} releases, {1} MLflow runs, {2} Dagster runs", *counts))
    if found["disk_free"] is not None:
        sizes = parts.shown_size(found["disk_free"]), parts.shown_size(found["disk_total"])
        line(Message("disk"), Message("{0} free of {1}", *sizes))
    _show(Message("Last runs"), found["runs"] or [], language)
    _show(Message("Sizes"), size_rows(found["sizes"]), language)


def size_rows(sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = [{"part": part, "size": parts.shown_size(size)} for part, size in sizes.items() if size]
    return [*rows, {"part": "total", "size": parts.shown_size(sum(sizes.values()))}]


def holder(settings: Settings) -> str | None:
    """Who holds the home's lock; None where nobody does."""
    try:
        with settings.lock.open() as lock:
            try:
                # Shared and for a moment: readers do not refuse each other.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return holder_and_run(lock.read())[0] or "another process"
    except OSError:
        pass
    return None


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a SQLite file that writes nothing.

    A reader of a file with a write-ahead log leaves files beside it, and cannot open it on a
    read-only disk: where the log is empty the file is read without it.
    """
    log = database.with_name(f"{database.name}-wal")
    with database.open("rb") as file:
        has_log = file.read(20)[18:] == b"\x02\x02"
    empty = not log.exists() or not log.stat().st_size
    alone = has_log and (empty or not os.access(database.parent, os.W_OK))
    address = f"file:{quote(str(database))}?mode=ro{'&immutable=1' if alone else ''}"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        yield connection


@dataclass(frozen=True)
class Runs:
    """The runs of Dagster: how many, and the last ones."""

    count: int
    last: list[dict[str, Any]]


def _runs(settings: Settings) -> Runs | None:
    """From the file of Dagster's own storage; None where dagster.yaml names another."""
    database = settings.dagster_home / "history" / "runs.db"
    if not database.exists():
        return None
    count = _count(database)
    if count is None:
        return None
    with suppress(sqlite3.DatabaseError), reading(database) as connection:
        found = connection.execute((QUERIES / "runs.sql").read_text(), [SHOWN_RUNS]).fetchall()
        return Runs(
            count,
            [
                {
                    **{"run": run[:8], "job": job, "outcome": status.lower()},
                    **{"started": _time(started), "ended": _time(ended)},
                }
                for run, job, status, started, ended in found
            ],
        )
    return None


def _count(database: Path) -> int | None:
    if not database.exists():
        return None
    with suppress(sqlite3.DatabaseError), reading(database) as connection:
        query = (QUERIES / "count_runs.sql").read_text()
        return int(connection.execute(query).fetchall()[0][0])
    return None


def _release(settings: Settings) -> tuple[dict[str, Any] | None, str | None]:
    """The served release, or why it cannot be read."""
    try:
        path = served(settings)
        if path is None:
            return None, None
        with connect(settings, path, read_only=True) as connection:
            release = connection.table("meta.release")
            ((release_id, as_of, source, created_at),) = release.project(
                "release_id, as_of, source, created_at"
            ).fetchall()
    except (ReleaseDamaged, duckdb.Error) as error:
        return None, str(error).splitlines()[0]
    since = _served_since(settings, path.stem)
    return {
        **{"release": release_id, "as_of": as_of, "source": source},
        **{"published": created_at.isoformat(timespec="seconds"), "since": since},
    }, None


def _served_since(settings: Settings, release_id: str) -> str | None:
    """When the link began to point to it: by the trail, else by the link."""
    found = None
    with suppress(audit.TrailBroken):
        for entry in audit.entries(settings):
            if entry.act in SERVING and entry.outcome == audit.DONE:
                found = entry.happened_at if entry.release_id == release_id else None
    return found or _changed(settings.published / CURRENT)


def _freshness(settings: Settings, release: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The newest month whose refresh is due by now, and whether the release has it."""
    published = datetime.fromisoformat(release["published"])
    age = {"age_days": (now - published).days}
    if release["source"] != "files":
        # A source that ends has no newer month.
        return {**age, "as_of_due": None, "due_by": None, "is_fresh": True}
    day = settings.business_day + SLACK_DAYS
    month = now.year * 12 + now.month - 1 - (1 if now.day > day else 2)
    due = min(filter(None, (_month(month), settings.as_of)))
    return {
        **age,
        **{"as_of_due": due, "due_by": f"{_month(month + 1)}-{day:02d}"},
        "is_fresh": release["as_of"] >= due,
    }


def _month(number: int) -> str:
    """The months since year 0 as `YYYY-MM`."""
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def _changed(path: Path) -> str | None:
    with suppress(OSError):
        return _time(path.lstat().st_mtime)
    return None


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _minute(text: str | None) -> str:
    return f"{text[:10]} {text[11:16]} UTC" if text else Message("unknown")


def _show(title: Message, rows: list[dict[str, Any]], language: str) -> None:
    if rows and terminal.is_terminal() and language == ENGLISH:
        terminal.table(title, rows)
        return
    if rows:
        print(in_language(title, language))
    for row in rows:
        # Ids, times and sizes are no words of the catalogue.
        cells = (terminal.cell(value) for value in row.values())
        worded = (reports.worded(cell, language) or "" for cell in cells)
        print("  " + "  ".join(padded(cell, 17) for cell in worded).rstrip())
