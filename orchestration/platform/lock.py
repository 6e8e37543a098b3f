"""The lock of a home: one process at a time changes it, whether started by make or the UI."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.platform.environment import use_temporary
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from orchestration.platform.supervision import end_with_parent

# The locks of this process: a command holds the lock during the run that it executes.
_held: set[Path] = set()


class RefreshRunning(Refused):
    """Another process changes this home."""


@contextmanager
def one_refresh_at_a_time(
    settings: Settings, holder: str = "another refresh", run_id: str | None = None
) -> Iterator[None]:
    """Hold the home's lock; the operating system releases it when this process ends.

    This does nothing in a process that holds the lock already, nor in one that executes a step of
    the run `run_id` for which another process holds it (`admitting`). The lock file names the
    `holder` for the message of a refused process. Temporary files go to `scratch`, which is emptied
    at the beginning and at the end.

    Raises
    ------
    RefreshRunning
        When another process holds the lock.
    """
    path = settings.lock
    if path in _held:
        yield
        return
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_admitted = False
        except BlockingIOError as error:
            lock.seek(0)
            held_by, admitted = holder_and_run(lock.read())
            is_admitted = run_id is not None and run_id == admitted
            if not is_admitted:
                raise RefreshRunning(
                    f"{held_by or 'another refresh'} is changing {settings.home}. Wait "
                    "for it to end, or use another home (JINGXI_HOME=<folder>)."
                ) from error
        if is_admitted:
            # A step must not outlive the run that holds the lock for it.
            end_with_parent()
            use_temporary(settings.scratch)
            try:
                yield
            finally:
                use_temporary(settings.temporary)
            return
        lock.truncate(0)
        lock.write(f"{holder} (process {os.getpid()})")
        lock.flush()
        shutil.rmtree(settings.scratch, ignore_errors=True)
        settings.scratch.mkdir(parents=True)
        use_temporary(settings.scratch)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            use_temporary(settings.temporary)
            shutil.rmtree(settings.scratch, ignore_errors=True)


@contextmanager
def admitting(settings: Settings, run_id: str) -> Iterator[None]:
    """While this process or one above it holds the lock, admit the steps of a run, which other
    processes execute. The second line of the lock file names the run."""
    holder, _ = holder_and_run(settings.lock.read_text())
    settings.lock.write_text(f"{holder}\n{run_id}")
    try:
        yield
    finally:
        settings.lock.write_text(holder)


def holder_and_run(text: str) -> tuple[str, str]:
    """Of a lock file: the holder, and the run whose steps are admitted."""
    holder, _, run_id = text.partition("\n")
    return holder.strip(), run_id.strip()
