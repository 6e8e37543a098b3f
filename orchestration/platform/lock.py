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

# The locks of this process: a command holds the lock during the run that it executes.
_held: set[Path] = set()


class RefreshRunning(Refused):
    """Another process changes this home."""


@contextmanager
def one_refresh_at_a_time(settings: Settings, holder: str = "another refresh") -> Iterator[None]:
    """Hold the home's lock; the operating system releases it when this process ends.

    This does nothing in a process that holds the lock already. The lock file names the `holder` for
    the message of a refused process. Temporary files go to `scratch`, which is emptied at the
    beginning and at the end.

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
        except BlockingIOError as error:
            lock.seek(0)
            raise RefreshRunning(
                f"{lock.read().strip() or 'another refresh'} is changing {settings.home}. Wait "
                "for it to end, or use another home (JINGXI_HOME=<folder>)."
            ) from error
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
