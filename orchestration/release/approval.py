"""A release that waits for a person: why it waits, and what happens when it is approved."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.platform import audit, overrides
from orchestration.platform.engine import connect
from orchestration.platform.files import flush
from orchestration.platform.identity import (
    APPROVE,
    EXPORT,
    PROPOSE,
    REJECT,
    approver_of,
    same_person,
)
from orchestration.platform.releases import ReleaseRefused, fault_of, proposed, serve
from orchestration.platform.settings import Settings, named
from orchestration.release.publish import drop_proposed, keep_latest
from orchestration.release.restatement import changed_shares
from orchestration.release.value_report import VALUE_REPORT

LEAST_REASON = 10


def waits_for_approval(connection: duckdb.DuckDBPyConnection, settings: Settings) -> str | None:
    """Why a person must approve this build before readers see it; None where it is published."""
    if settings.release == "approval":
        return f"{named('release')} is approval"
    bound = settings.release_bound
    if bound is None:
        return None
    contribution, customers = changed_shares(connection, settings)
    for what, share in (
        ("the contribution of published months", contribution),
        ("the number of customers", customers),
    ):
        if share > bound:
            return f"{what} changes by {share:.2%}, {named('release_bound')} is {bound:g}"
    return None


def approve(settings: Settings, release_id: str | None, approver: str, reason: str) -> Path:
    """Serve the release that waits; returns its path.

    Raises
    ------
    ReleaseRefused
        Where none waits, or another than the named one; where it cannot be read; for a reason of
        fewer than ten characters, and for the person who ran the refresh.
    orchestration.platform.identity.ActRefused
        Without the role. The served release does not change.
    """
    with _decided(settings, APPROVE, release_id, approver, reason) as path:
        fault = fault_of(settings, path)
        if fault is not None:
            raise ReleaseRefused(f"release {path.stem} {fault}. Run make refresh.")
        with connect(settings, path, read_only=True) as connection:
            found = overrides.complaints(connection, settings)
        if found:
            raise ReleaseRefused(f"release {path.stem} is not served: {'; '.join(found)}.")
    target = settings.published / "releases" / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.link(path, target)
        flush(target.parent)
    serve(settings, target, APPROVE)
    # Until here it still waits: after a crash it is approved again.
    path.unlink()
    keep_latest(settings)
    return target


def follow(settings: Settings, path: Path, warn: Callable[[str], object]) -> None:
    """What goes with an approved release: its value report becomes the latest one, and its lists
    are exported. The release is served: a failure is a warning."""
    try:
        shutil.copyfile(
            settings.reports / path.stem / VALUE_REPORT, settings.reports / VALUE_REPORT
        )
        export_lists(settings, path)
    except Exception as error:
        warn(f"release {path.stem} is served without its lists: {type(error).__name__}: {error}")


def export_lists(settings: Settings, path: Path) -> None:
    """Export the lists of a release."""
    from orchestration.decisions.export import export_release

    with (
        audit.audited(settings, EXPORT, path.stem, release_id=path.stem) as doing,
        connect(settings, path, read_only=True) as connection,
    ):
        files = export_release(
            *(connection, settings.exports, path.stem),
            bom=settings.export_bom,
            language=settings.language,
            kept=settings.kept_releases,
        )
        doing.detail = ", ".join(file.name for file in files)


def reject(settings: Settings, release_id: str | None, approver: str, reason: str) -> str:
    """Remove the release that waits; returns its id. Raises as `approve`."""
    with _decided(settings, REJECT, release_id, approver, reason) as path:
        drop_proposed(settings)
    return path.stem


@contextmanager
def _decided(
    settings: Settings, act: str, release_id: str | None, approver: str, reason: str
) -> Iterator[Path]:
    """The release that waits, checked and with its line in the trail."""
    path = proposed(settings)
    subject = release_id or (path.stem if path else "the release that waits")
    detail = f"approver {approver.strip()}; {reason.strip()}"
    with audit.audited(settings, act, subject, release_id=release_id, detail=detail) as doing:
        if path is None or path.stem != subject:
            waiting = path.stem if path else "none"
            raise ReleaseRefused(
                f"release {subject} does not wait for approval. Waiting: {waiting}."
            )
        doing.release_id = path.stem
        name = approver_of(settings, approver)
        proposers = [
            one.user_name
            for one in audit.entries(settings)
            if one.act == PROPOSE and one.release_id == path.stem
        ]
        problems = []
        if not name.strip():
            problems.append("the approver is missing")
        if len(reason.strip()) < LEAST_REASON:
            problems.append(f"the reason is too short: expected at least {LEAST_REASON} characters")
        if any(same_person(name, one) for one in proposers):
            problems.append(f"{name.strip()} ran the refresh: expected another person")
        if problems:
            raise ReleaseRefused(f"{act} of {path.stem} is refused: {'; '.join(problems)}.")
        yield path
