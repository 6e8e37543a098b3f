"""One process at a time changes a home: a refresh, a training, a promotion."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from orchestration.environment import use_temporary
from orchestration.settings import Settings


class RefreshRunning(Exception):
    """Another refresh of this home is under way."""


@contextmanager
def one_refresh_at_a_time(settings: Settings) -> Iterator[None]:
    """Hold the home's lock; the system frees it when this process ends, however it ends.

    Temporary files go to `scratch` meanwhile: what an earlier holder left there is removed first,
    what this one leaves at the end.

    Raises
    ------
    RefreshRunning
        When another process holds it.
    """
    with settings.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefreshRunning(
                f"another refresh of {settings.home} is running; wait for it, "
                "or give this one a home of its own (JINGXI_HOME=<folder>)"
            ) from error
        shutil.rmtree(settings.scratch, ignore_errors=True)
        settings.scratch.mkdir(parents=True)
        use_temporary(settings.scratch)
        try:
            yield
        finally:
            use_temporary(settings.temporary)
            shutil.rmtree(settings.scratch, ignore_errors=True)
