"""Whether a home is fit for a refresh, looked at before the work begins.

What can be made anew (the build warehouse) is removed when it is damaged, and told. What cannot
(model store, run history, releases) is named with its file and the cure.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb

from orchestration.landing.delivery import token_key
from orchestration.platform.engine import WarehouseBusy, connect
from orchestration.platform.environment import HomeRefused
from orchestration.platform.releases import served
from orchestration.platform.settings import Settings

# Room for the build of a small bank; a release takes as much again as the one before it.
LEAST_FREE_BYTES = 200 << 20
NONE_FREE_BYTES = 1 << 20
HEADER_BYTES = 3 * 4096
FULL = ("no space left on device", "disk is full", "disk quota exceeded", "errno 28")
DAMAGED = (
    *("corrupt", "checksum", "not a valid duckdb database", "database disk image is malformed"),
    *("file is not a database", "failed to deserialize", "could not read enough bytes"),
    *("no magic bytes found", "invalidated because of a previous fatal error"),
)


def prepare_home(settings: Settings) -> list[str]:
    """Judge what the home holds; returns a line for each thing that will be made anew.

    Raises
    ------
    HomeRefused, orchestration.platform.releases.ReleaseDamaged
        For what is damaged and cannot be made anew, with the cure; all that was looked at before it
        is sound.
    """
    _room(settings)
    token_key(settings)
    history, schedules = (settings.dagster_home / name for name in ("history", "schedules"))
    for path in (*sorted(history.rglob("*.db")), schedules / "schedules.db"):
        _judge(
            path,
            "the runs' history",
            f"or move {history} and {schedules} away: the list of runs in the UI then begins anew; "
            "releases and models do not need it",
        )
    _judge_model_store(settings)
    served(settings)
    return _fit_warehouse(settings)


def cure_of(reason: str, settings: Settings) -> str | None:
    """What to do about an error that says that the disk is full or a file is damaged, if it does.

    A build warehouse that proved damaged while it was read is removed.
    """
    said = reason.lower()
    free = shutil.disk_usage(settings.home).free
    # SQLite calls it an input/output error, too.
    if free < NONE_FREE_BYTES or any(words in said for words in FULL):
        return (
            f"the disk of {settings.home} is full ({_megabytes(free)} are free now): make room "
            "and run the refresh again"
        )
    if not any(words in said for words in DAMAGED):
        return None
    landed = str(settings.landing) in reason
    if landed or ".parquet" in said:
        return "a landed or delivered file is damaged: run make refresh without MONTHS"
    if "sqlite" in said or "disk image" in said or "file is not a database" in said:
        return "a store is damaged: run make refresh again, which names the file"
    _remove(settings.warehouse)
    return f"{settings.warehouse} was damaged and is removed: make refresh makes it anew"


def _room(settings: Settings) -> None:
    current = served(settings)
    needed = LEAST_FREE_BYTES + (current.stat().st_size if current else 0)
    free = shutil.disk_usage(settings.home).free
    if free < needed:
        raise HomeRefused(
            f"the disk of {settings.home} has {_megabytes(free)} free: expected "
            f"{_megabytes(needed)} or more. Make room, or choose another HOME (JINGXI_HOME)."
        )


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB"


def _judge(path: Path, what: str, cure: str) -> None:
    """Refuse an SQLite file that is damaged; one that is not there is made by its owner."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
            found = [row[0] for row in connection.execute("pragma quick_check(1)")]
    except sqlite3.OperationalError as error:
        # Another program writes it just now; it reads it, too.
        if "locked" in str(error):
            return
        found = [str(error)]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise HomeRefused(
            f"{path} is damaged ({found[0]}), and {what} cannot be made anew. "
            f"Restore it from a backup, {cure}."
        )


def _judge_model_store(settings: Settings) -> None:
    store, artifacts = settings.mlflow_home / "mlflow.db", settings.mlflow_home / "artifacts"
    if settings.mlflow_tracking_uri != settings.own_model_store:
        return
    anew = f"or move {settings.mlflow_home} away: the next refresh then trains every model anew"
    _judge(store, "the model store", anew)
    if not store.exists() and artifacts.is_dir() and any(artifacts.iterdir()):
        raise HomeRefused(
            f"{store} is missing, and {artifacts} holds the models that it knew. "
            f"Restore it from a backup, {anew}."
        )


def _fit_warehouse(settings: Settings) -> list[str]:
    """Remove a build warehouse that cannot be built upon."""
    path = settings.warehouse
    reason = _unfit(settings) if path.exists() else None
    # The log of a warehouse that is gone belongs to no other.
    if reason is not None or not path.exists():
        _remove(path)
    return [f"{path} is made anew: {reason}"] if reason else []


def _remove(warehouse: Path) -> None:
    for path in (warehouse, warehouse.with_name(warehouse.name + ".wal")):
        path.unlink(missing_ok=True)


def _unfit(settings: Settings) -> str | None:
    """Why the warehouse must be made anew. Its blocks have checksums: a damaged one among them is
    found by whoever reads it."""
    path = settings.warehouse
    try:
        with connect(settings, path) as connection:
            size, blocks = connection.execute(
                # Free blocks at the end are counted among all, though the file ends before them.
                "select block_size, used_blocks from pragma_database_size()"
            ).fetchall()[0]
            # Of earlier versions, which kept names and telephone numbers here.
            kept = connection.execute(
                "select 1 from duckdb_schemas() where schema_name = 'protected' "
                "and database_name = current_database()"
            ).fetchall()
    except WarehouseBusy:
        return None
    except duckdb.Error as error:
        return f"it cannot be read ({str(error).splitlines()[0]})"
    if path.stat().st_size < HEADER_BYTES + size * blocks:
        return "it is cut off"
    return "it held personal data, which are not kept any more" if kept else None
