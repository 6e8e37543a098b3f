"""The available releases: list, serve, roll back, and attach the served one to the warehouse."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from orchestration.platform import audit
from orchestration.platform.engine import connect
from orchestration.platform.files import flush
from orchestration.platform.front_page import lead_to
from orchestration.platform.identity import ROLLBACK
from orchestration.platform.optional_tables import has_table
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

CURRENT = "current.duckdb"
# The name under which the served release is attached.
RELEASE = "release"


class ReleaseRefused(Refused):
    """The release must not be published or served; the served release does not change."""


class ReleaseDamaged(ReleaseRefused):
    """The served release cannot be read."""


def point_at(settings: Settings, path: Path) -> None:
    """Point the link of the served release to a release, atomically."""
    link = settings.published / CURRENT
    fresh = settings.published / f".{CURRENT}.{uuid.uuid4().hex}"
    fresh.symlink_to(path.relative_to(settings.published))
    os.replace(fresh, link)
    flush(settings.published)


def proposed(settings: Settings) -> Path | None:
    """The release that waits for approval, if any: readers do not see it."""
    link = settings.published / CURRENT
    current = Path(os.readlink(link)).name if link.is_symlink() else None
    found = [
        path
        for path in (settings.published / "proposed").glob("*.duckdb")
        # Approved by a process that ended before it removed this name.
        if path.name != current
    ]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def releases_of(settings: Settings) -> list[Path]:
    """The available releases, oldest first."""
    return sorted(
        (settings.published / "releases").glob("*.duckdb"), key=lambda path: path.stat().st_mtime
    )


def surplus(settings: Settings) -> list[Path]:
    """The releases beyond those that are kept, oldest first: neither the served one nor the one
    before it, to which `make rollback` returns, is among them."""
    found = releases_of(settings)
    current = (settings.published / CURRENT).resolve()
    at = found.index(current) if current in found else len(found)
    return [
        path
        for number, path in enumerate(found[: -settings.kept_releases])
        if number not in (at - 1, at)
    ]


def served(settings: Settings) -> Path | None:
    """The release that readers open; None before the first.

    Raises
    ------
    ReleaseDamaged
        When the link points to a missing file, or to a file that is not a release.
    """
    link = settings.published / CURRENT
    if not link.is_symlink() and not link.exists():
        return None
    path = link.resolve()
    fault = fault_of(settings, path)
    if fault is not None:
        raise ReleaseDamaged(
            f"{link} is broken: {path} {fault}. Restore that file from a backup, or serve another "
            f"release (make rollback [RELEASE=<id>]); available: {at_hand_in_words(settings)}. "
            f"Without another release, remove {link} and run make refresh."
        )
    return path


def fault_of(settings: Settings, path: Path) -> str | None:
    """Why a release cannot be opened; None if it can."""
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


def managers_of_customer(
    connection: duckdb.DuckDBPyConnection, customer_id: str
) -> list[str | None]:
    """The employee_ids of a customer's relationship managers in a release."""
    own = duckdb.ColumnExpression("customer_id") == duckdb.ConstantExpression(customer_id)
    found = connection.table("base.customer").filter(own).project("employee_id")
    return [manager for (manager,) in found.fetchall()]


def managers_of_account(connection: duckdb.DuckDBPyConnection, account_id: str) -> list[str | None]:
    """Those of an account's holders."""
    own = duckdb.ColumnExpression("account_id") == duckdb.ConstantExpression(account_id)
    held = connection.table("base.account_holder").filter(own).project("customer_id")
    found = held.join(connection.table("base.customer"), "customer_id").project("employee_id")
    return [manager for (manager,) in found.fetchall()]


def audit_heads(settings: Settings) -> dict[str, tuple[int, str]]:
    """Release → the number of lines of the audit trail and the hash of the last at its publication.

    Releases without a trail, or that cannot be read, are left out.
    """
    found: dict[str, tuple[int, str]] = {}
    for path in releases_of(settings):
        with suppress(duckdb.Error), connect(settings, path, read_only=True) as connection:
            if has_table(connection, "meta.audit"):
                release = connection.table("meta.release")
                ((count, head),) = release.project("audit_lines, audit_hash").fetchall()
                found[path.stem] = (count, head)
    return found


def roll_back(settings: Settings, release_id: str | None) -> Path:
    """Serve an older release again: the named one, or the one before the served one.

    Raises
    ------
    ReleaseRefused
        When there is no such release, or it cannot be read; the served release does not change.
    orchestration.platform.identity.ActRefused
        Without the role. The audit trail has the line before the release is served.
    """
    asked = release_id or "the release before"
    with audit.audited(settings, ROLLBACK, asked) as doing:
        path = _before(settings, release_id)
        doing.subject = doing.release_id = path.stem
        current = settings.published / CURRENT
        if current.is_symlink():
            doing.detail = f"served before: {Path(os.readlink(current)).stem}"
    serve(settings, path, ROLLBACK)
    return path


def serve(settings: Settings, path: Path, act: str) -> None:
    """Point the link to a release; a failure is recorded, since the trail has the act as done."""
    try:
        point_at(settings, path)
    except OSError as error:
        audit.record(
            *(settings, act, path.stem),
            release_id=path.stem,
            detail=type(error).__name__,
            outcome=audit.FAILED,
        )
        raise
    lead_to(settings, path.stem)


def _before(settings: Settings, release_id: str | None) -> Path:
    at_hand, names = releases_of(settings), at_hand_in_words(settings)
    if release_id is not None:
        chosen = [path for path in at_hand if path.stem == release_id]
        if not chosen:
            raise ReleaseRefused(f"release {release_id} does not exist. Available: {names}.")
    else:
        # The target of the link, even if it is missing or unreadable.
        current = (settings.published / CURRENT).resolve()
        before = at_hand[: at_hand.index(current)] if current in at_hand else at_hand
        chosen = [path for path in before if path != current][::-1]
        if not chosen:
            raise ReleaseRefused(f"no release precedes the served one. Available: {names}.")
    for path in chosen:
        fault = fault_of(settings, path)
        if fault is None:
            return path
    raise ReleaseRefused(
        f"no other release can be served: {chosen[0].name} {fault}. Available: {names}."
    )


@contextmanager
def attached_release(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[bool]:
    """Attach the served release as `release`; yields whether it is of the warehouse's bank.

    Two banks may have the same ids. A release without an identity is not this bank's.
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
