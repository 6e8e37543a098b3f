"""The parts of a home, their sizes, and what ended processes left in it."""

from __future__ import annotations

import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestration.platform.settings import Settings

DAY = 86_400
# Names with the process that made them: `connect`, `backup`.
OF_PROCESS = re.compile(r"^(?:engine|backup)-(\d+)")
DRAFT = re.compile(r"^\..+\.[0-9a-f]{32}(\.partial)?$")


def parts_of(settings: Settings) -> dict[str, list[Path]]:
    """Part → its files and folders; together they are all that jingxi writes."""
    mlflow, home = settings.mlflow_home, settings.home
    store = [path for path in mlflow.glob("*") if path.name != "artifacts"]
    found = {
        "releases": [settings.published],
        "build warehouse": [settings.warehouse.parent],
        "landing": [settings.landing],
        "reports": [settings.reports],
        "customer pages": [settings.customer_pages],
        "exports": [settings.exports],
        "MLflow artifacts": [mlflow / "artifacts"],
        "MLflow store": store,
        "Dagster storage": [settings.dagster_home],
        "audit trail": [settings.audit_trail.parent],
        "logs": [home / "logs"],
        "temporary files": [settings.temporary],
    }
    named = {path for paths in found.values() for path in paths} | {mlflow}
    found["other"] = [path for path in settings.own_places if path not in named]
    return found


def sizes(settings: Settings) -> dict[str, int]:
    """Part → bytes. A file that disappears meanwhile is left out; one under two names counts
    once."""
    seen: set[tuple[int, int]] = set()
    return {
        part: sum(_size(path, seen) for path in paths) for part, paths in parts_of(settings).items()
    }


def size_of(path: Path) -> int:
    return _size(path, set())


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    size = 0
    for file in files_in(path):
        with suppress(OSError):
            found = file.lstat()
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size += found.st_size
    return size


def files_in(path: Path) -> Iterator[Path]:
    """The regular files of a folder, or the file itself; no links."""
    if path.is_dir() and not path.is_symlink():
        for folder, folders, names in os.walk(path):
            folders.sort()
            for file in (Path(folder, name) for name in sorted(names)):
                if file.is_file() and not file.is_symlink():
                    yield file
    elif path.is_file() and not path.is_symlink():
        yield path


def shown_size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:,.1f} GB"


def leftovers(settings: Settings) -> list[Path]:
    """What ended processes left: temporary files, drafts, unfinished releases and exports.

    Only while the home's lock is held none of it is in use. Temporary files without the number of
    a process, and drafts, count once they are a day old: pages are written without the lock.
    """
    published, releases = settings.published, settings.published / "releases"
    found = [
        *published.glob(".current.duckdb.*"),
        *releases.glob(".*.unfinished*"),
        *(published / "proposed").glob(".*.unfinished*"),
        *settings.exports.glob(".*.unfinished"),
        *settings.landing.glob(".writing"),
        *settings.mlflow_home.glob("mlflow.db.partial"),
    ]
    before = time.time() - DAY
    if settings.temporary.is_dir():
        found += [path for path in settings.temporary.iterdir() if _is_left(path, before, settings)]
    for place in settings.own_places:
        if place.is_dir() and place != settings.temporary:
            for folder, _, names in os.walk(place):
                drafts = (Path(folder, name) for name in names if DRAFT.match(name))
                found += [path for path in drafts if _changed(path) < before]
    return sorted(set(found))


def _is_left(path: Path, before: float, settings: Settings) -> bool:
    if path in (settings.scratch, settings.temporary / ".writable"):
        return False
    owner = OF_PROCESS.match(path.name)
    if owner:
        return not is_alive(int(owner[1]))
    places = [path, *path.rglob("*")] if path.is_dir() else [path]
    return all(_changed(one) < before and not _listens(one) for one in places)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _listens(path: Path) -> bool:
    """Whether it is a socket on which a server still listens."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except OSError:
        return False
    return True
