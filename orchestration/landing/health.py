"""Check before the work begins whether a home is fit for a refresh.

A damaged build warehouse is removed with a note, since a refresh rebuilds it. Damage to anything
else (model store, run history, releases) is refused with the file and the cure.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb

from orchestration.landing.token_key import token_key
from orchestration.platform.engine import WarehouseBusy, connect
from orchestration.platform.environment import HomeRefused
from orchestration.platform.releases import served
from orchestration.platform.settings import Settings
from sources.message import Message

# Room for the build of a small bank; a release takes about as much as the previous one.
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
    """Check the home's stores; returns a line for each that the refresh rebuilds.

    Raises
    ------
    HomeRefused, orchestration.platform.releases.ReleaseDamaged
        For the first damaged store that cannot be rebuilt, with the cure.
    """
    room(settings, served(settings))
    token_key(settings)
    history, schedules = (settings.dagster_home / name for name in ("history", "schedules"))
    for path in (*sorted(history.rglob("*.db")), schedules / "schedules.db"):
        _judge(
            path,
            "the run history",
            f"or move {history} and {schedules} away: the list of runs in the UI then starts "
            "empty; releases and models do not depend on it",
        )
    _judge_model_store(settings)
    served(settings)
    return _fit_warehouse(settings)


def cure_of(reason: str, settings: Settings) -> str | None:
    """The cure for an error that reports a full disk or a damaged file; None for other errors.

    Removes a build warehouse that is damaged.
    """
    text = reason.lower()
    free = shutil.disk_usage(settings.home).free
    # SQLite also reports a full disk as an input/output error.
    if free < NONE_FREE_BYTES or any(words in text for words in FULL):
        return (
            f"the disk of {settings.home} is full ({_megabytes(free)} are free now): make room "
            "and run the refresh again"
        )
    if not any(words in text for words in DAMAGED):
        return None
    landed = str(settings.landing) in reason
    if landed or ".parquet" in text:
        return "a landed or delivered file is damaged: run make refresh without MONTHS"
    if "sqlite" in text or "disk image" in text or "file is not a database" in text:
        return "a store is damaged: run make refresh again, which names the file"
    _remove(settings.warehouse)
    return f"{settings.warehouse} was damaged and is removed: run make refresh to rebuild it"


def room(settings: Settings, current: Path | None) -> None:
    """Refuse a disk without room for a release beside the served one."""
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
    """Refuse a damaged SQLite file; a missing one is created by its owner."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
            found = [row[0] for row in connection.execute("pragma quick_check(1)")]
    except sqlite3.OperationalError as error:
        # Another program is writing the file, so it can be read.
        if "locked" in str(error):
            return
        found = [str(error)]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise HomeRefused(
            f"{path} is damaged ({found[0]}), and a refresh cannot rebuild {what}. "
            f"Restore it from a backup, {cure}."
        )


def _judge_model_store(settings: Settings) -> None:
    store, artifacts = settings.mlflow_home / "mlflow.db", settings.mlflow_home / "artifacts"
    if settings.mlflow_tracking_uri != settings.own_model_store:
        return
    cure = f"or move {settings.mlflow_home} away: the next refresh then trains every model again"
    _judge(store, "the model store", cure)
    if not store.exists() and artifacts.is_dir() and any(artifacts.iterdir()):
        raise HomeRefused(
            f"{store} is missing: expected the store of the models in {artifacts}. "
            f"Restore it from a backup, {cure}."
        )


def _fit_warehouse(settings: Settings) -> list[str]:
    """Remove a build warehouse that a refresh cannot use."""
    path = settings.warehouse
    reason = unfit(settings) if path.exists() else None
    # A write-ahead log without its warehouse must not apply to the next one.
    if reason is not None or not path.exists():
        _remove(path)
    return [Message("{0} is rebuilt: {1}", str(path), reason)] if reason else []


def _remove(warehouse: Path) -> None:
    for path in (warehouse, warehouse.with_name(warehouse.name + ".wal")):
        path.unlink(missing_ok=True)


def unfit(settings: Settings, *, read_only: bool = False) -> str | None:
    """Why the warehouse must be rebuilt; None if it is sound as far as its header shows. Its blocks
    have checksums: DuckDB reports a damaged one when it reads it."""
    path = settings.warehouse
    try:
        with connect(settings, path, read_only=read_only) as connection:
            size, blocks = connection.execute(
                # `total_blocks` includes free blocks beyond the end of the file.
                "select block_size, used_blocks from pragma_database_size()"
            ).fetchall()[0]
            # Earlier versions stored names and telephone numbers in this schema.
            kept = connection.execute(
                "select 1 from duckdb_schemas() where schema_name = 'protected' "
                "and database_name = current_database()"
            ).fetchall()
    except WarehouseBusy:
        return None
    except duckdb.Error as error:
        return Message("it cannot be read ({0})", str(error).splitlines()[0])
    if path.stat().st_size < HEADER_BYTES + size * blocks:
        return Message("it is truncated")
    return Message("it holds personal data, which are no longer stored") if kept else None
