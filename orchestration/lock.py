"""One process at a time changes a home: a refresh, a training, a promotion."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from orchestration.settings import Settings


class RefreshRunning(Exception):
    """Another refresh of this home is under way."""


@contextmanager
def one_refresh_at_a_time(settings: Settings) -> Iterator[None]:
    """Hold the home's lock; the system frees it when this process ends, however it ends.

    Raises
    ------
    RefreshRunning
        When another process holds it.
    """
    with (settings.home / "refresh.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefreshRunning(
                f"another refresh of {settings.home} is running; wait for it, "
                "or give this one a home of its own (JINGXI_HOME=<folder>)"
            ) from error
        yield
