"""A limit of time for a call that has none of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable


def within(seconds: float, call: Callable[[], object]) -> Exception | None:
    """The error of a call, None on success; TimeoutError if it has not ended in time (its thread
    keeps running)."""
    found: list[Exception | None] = []

    def work() -> None:
        try:
            call()
        except Exception as error:
            found.append(error)
        else:
            found.append(None)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else TimeoutError()
