"""Which failures are open, and the notices that a receiver has not taken yet: one file in the home.

A notice is written before it is sent: a killed process leaves it for the next one. A home that
cannot be written (a full disk is itself a failure) does not keep a notice from being sent.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from orchestration.operations.notices.message import Cause, Message, failed, in_order
from orchestration.operations.notices.receivers import RECEIVER_SECONDS, deliver, receivers_of
from orchestration.platform.files import write_whole
from orchestration.platform.settings import Settings

STATE, LOCK = "notices.json", "notices.lock"
# Kept for a receiver that does not answer: the newest.
MOST_KEPT = 50
# Until another process has sent its notices; after it, a notice may be sent twice.
LOCK_SECONDS = 30.0


@dataclass
class State:
    """Open causes by key, the last success of each job, and the notices to be sent by receiver."""

    open: dict[str, Cause] = field(default_factory=dict)
    succeeded: dict[str, datetime] = field(default_factory=dict)
    outbox: dict[str, list[Message]] = field(default_factory=dict)


def send(
    settings: Settings, cause: Cause | None = None, cleared: Sequence[str] = (), *, at: datetime
) -> list[str]:
    """Open a cause, or close those of the `cleared` jobs, and send what is to be sent.

    Returns
    -------
    A line for each receiver that did not take a notice. Never raises.
    """
    try:
        receivers = receivers_of(settings)
        if not receivers:
            return []
        with _held(settings.operations / LOCK):
            state = read(settings.operations / STATE)
            message = _opened(settings, state, cause) if cause else None
            if cleared:
                message = _closed(settings, state, cleared, at)
            for name in receivers:
                box = state.outbox.setdefault(name, [])
                box.extend([message] if message else [])
                del box[:-MOST_KEPT]
            _write(settings, state)
            lines = [
                f"notices: {name} {problem}; {len(state.outbox[name])} notice(s) wait for the next"
                for name, take in receivers.items()
                if (problem := _empty(state.outbox[name], take)) is not None
            ]
            _write(settings, state)
        return lines
    except Exception as error:
        return [f"notices: nothing was sent ({type(error).__name__})"]


def _opened(settings: Settings, state: State, cause: Cause) -> Message | None:
    last = state.succeeded.get(cause.job)
    key = hashlib.sha256(json.dumps([cause.job, *cause.places]).encode()).hexdigest()[:16]
    if key in state.open or (last is not None and cause.since < last):
        return None
    state.open[key] = cause
    return failed(settings, cause)


def _closed(settings: Settings, state: State, jobs: Sequence[str], at: datetime) -> Message | None:
    for job in jobs:
        state.succeeded[job] = max(at, state.succeeded.get(job, at))
    over = {
        key: cause
        for key, cause in state.open.items()
        if cause.job in jobs and cause.since <= state.succeeded[cause.job]
    }
    for key in over:
        del state.open[key]
    return in_order(settings, jobs, list(over.values())) if over else None


def _empty(box: list[Message], take: Callable[[Message], None]) -> str | None:
    """Send in order, and stop at the first that is not taken; returns why."""
    end = time.monotonic() + 2 * RECEIVER_SECONDS
    while box:
        if time.monotonic() > end:
            return "is slow"
        problem = deliver(take, box[0])
        if problem is not None:
            return problem
        del box[0]
    return None


def read(path: Path) -> State:
    """The state; an unreadable one is empty, so that an open cause is reported again."""
    try:
        kept = json.loads(path.read_bytes())
        return State(
            {key: _cause(one) for key, one in kept["open"].items()},
            {job: datetime.fromisoformat(at) for job, at in kept["succeeded"].items()},
            {
                name: [Message(one["subject"], tuple(one["lines"])) for one in box]
                for name, box in kept["outbox"].items()
            },
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return State()


def _cause(kept: Mapping) -> Cause:
    since = datetime.fromisoformat(kept["since"])
    return Cause(kept["job"], tuple(kept["places"]), since, kept["run_id"])


def _write(settings: Settings, state: State) -> None:
    content = json.dumps(
        {
            "open": {
                key: {**vars(cause), "since": cause.since.isoformat()}
                for key, cause in state.open.items()
            },
            "succeeded": {job: at.isoformat() for job, at in state.succeeded.items()},
            "outbox": {name: [vars(one) for one in box] for name, box in state.outbox.items()},
        },
        indent=1,
    )
    with suppress(OSError):
        settings.operations.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(settings.operations / STATE, content)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock of the state if it can be had in time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.open("a")
    except OSError:
        yield
        return
    with lock:
        end = time.monotonic() + LOCK_SECONDS
        while time.monotonic() < end:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.1)
        yield
