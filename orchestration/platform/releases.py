"""The releases at hand: the one that is served, those before it, and it beside the warehouse."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.platform.engine import connect
from orchestration.platform.files import flush
from orchestration.platform.optional_tables import has_table
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

CURRENT = "current.duckdb"
KEPT_RELEASES = 12
# The served release's name where it is attached.
RELEASE = "release"


class ReleaseRefused(Refused):
    """The build must not be published; the release served before stays."""


class ReleaseDamaged(ReleaseRefused):
    """The release that is served cannot be read."""


def point_at(settings: Settings, path: Path) -> None:
    """Move the served link to a release, atomically."""
    link = settings.published / CURRENT
    fresh = settings.published / f".{CURRENT}.{uuid.uuid4().hex}"
    fresh.symlink_to(path.relative_to(settings.published))
    os.replace(fresh, link)
    flush(settings.published)


def releases_of(settings: Settings) -> list[Path]:
    """The releases at hand, oldest first."""
    return sorted(
        (settings.published / "releases").glob("*.duckdb"), key=lambda path: path.stat().st_mtime
    )


def served(settings: Settings) -> Path | None:
    """The release that readers see; None before the first.

    Raises
    ------
    ReleaseDamaged
        When the link leads nowhere, or to a file that is no release.
    """
    link = settings.published / CURRENT
    if not link.is_symlink() and not link.exists():
        return None
    path = link.resolve()
    fault = fault_of(settings, path)
    if fault is not None:
        raise ReleaseDamaged(
            f"{link} is broken: {path} {fault}. Restore that file from a backup, or serve another "
            f"release (make rollback [RELEASE=<id>]); at hand: {at_hand_in_words(settings)}. Where "
            f"there is none, remove {link} and refresh."
        )
    return path


def fault_of(settings: Settings, path: Path) -> str | None:
    """What keeps a release from being opened."""
    if not path.exists():
        return "is missing"
    try:
        with connect(settings, path, read_only=True) as connection:
            connection.execute("select release_id from meta.release").fetchall()
    except duckdb.Error as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return None


def at_hand_in_words(settings: Settings) -> str:
    return ", ".join(path.stem for path in releases_of(settings)) or "none"


def roll_back(settings: Settings, release_id: str | None) -> Path:
    """Serve an older release again: the named one, or the one before the served one.

    Raises
    ------
    ReleaseRefused
        When there is no such release; the served one stays.
    """
    at_hand, names = releases_of(settings), at_hand_in_words(settings)
    if release_id is not None:
        chosen = [path for path in at_hand if path.stem == release_id]
        if not chosen:
            raise ReleaseRefused(f"no release {release_id}; at hand: {names}")
    else:
        # Where the link leads, also when nothing that can be read is there.
        current = (settings.published / CURRENT).resolve()
        before = at_hand[: at_hand.index(current)] if current in at_hand else at_hand
        chosen = [path for path in before if path != current][::-1]
        if not chosen:
            raise ReleaseRefused(f"no release before the served one; at hand: {names}")
    for path in chosen:
        fault = fault_of(settings, path)
        if fault is None:
            point_at(settings, path)
            return path
    raise ReleaseRefused(
        f"no release that could be served instead: {chosen[0].name} {fault}; at hand: {names}"
    )


@contextmanager
def attached_release(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[bool]:
    """Attach the served release as `release`; says whether there is one of this warehouse's bank.

    Ids of two banks may be the same. A release that does not say whose it is, is not this bank's.
    """
    path = served(settings)
    if path is None:
        yield False
        return
    quoted = str(path).replace("'", "''")
    connection.execute(f"attach '{quoted}' as {RELEASE} (read_only)")
    try:
        yield _is_of_this_bank(connection)
    finally:
        connection.execute(f"detach {RELEASE}")


def _is_of_this_bank(connection: duckdb.DuckDBPyConnection) -> bool:
    if not (has_table(connection, "meta.bank") and has_table(connection, "meta.bank", RELEASE)):
        return False
    return bool(
        connection.execute(
            "select 1 from meta.bank as own "
            f"inner join {RELEASE}.meta.bank as released on own.identity = released.identity"
        ).fetchall()
    )
