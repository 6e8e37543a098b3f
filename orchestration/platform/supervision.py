"""End a refresh, with all of its processes, by one signal.

The process that the user started only watches. The work runs in a session of its own and is killed:
the libraries do not handle signals reliably there (Dagster ignores one that arrives between two
steps, and one that is raised within a callback is lost). The work may be killed at any moment,
since everything that lasts is written to a draft and renamed.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Ended:
    """How the work ended: the exit `status` as in a shell, and the signal that ended it, if any.

    `asked` is true if the watcher received the signal, false if the work itself did.
    """

    status: int
    signal: signal.Signals | None = None
    asked: bool = False


def supervise(work: Callable[[], int], patience: float = 0) -> Ended:
    """Run the work in a process group of its own; returns when all of its processes have ended.

    Call it before threads and database connections exist: the process forks. A signal that is
    ignored already (`nohup`) stays ignored. If this process is killed, a guard kills the group.

    Parameters
    ----------
    patience : seconds that servers have to end after SIGTERM before they are killed
    """
    stopping = {one for one in STOPPING if signal.getsignal(one) is not signal.SIG_IGN}
    sys.stdout.flush()
    sys.stderr.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*stopping, signal.SIGCHLD})
    # Some systems discard a blocked signal without a handler.
    handler = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        _adopt_orphans()
        worker = os.fork()
        if worker == 0:
            _work(work, before)
        guard, lifeline = _guard(worker)
        try:
            return _wait(worker, stopping)
        finally:
            os.kill(guard, signal.SIGKILL)
            if patience:
                _ask_all(worker, patience)
            _end_all(worker)
            os.close(lifeline)
    finally:
        signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ended_with_this_process(child: subprocess.Popen | BaseProcess) -> Iterator[None]:
    """Kill a child process, if it is still at work, when the block or this process ends.

    A run that the UI launches has no watcher: killed, its dbt would go on to write the warehouse
    that the next refresh opens. A shell waits for the end of its input, which comes with the end of
    this process.
    """
    wait = f"read line; kill -KILL {child.pid}"
    guard = subprocess.Popen(["sh", "-c", wait], stdin=subprocess.PIPE)
    try:
        yield
    finally:
        child.kill()
        guard.kill()
        guard.communicate()


def end_with_parent() -> None:
    """On Linux, have this process killed when the one that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _work(work: Callable[[], int], mask: Collection[int]) -> None:
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = work()
        atexit._run_exitfuncs()
    finally:
        # Exit as `__main__` does: the forked process must not run the rest of the caller.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _guard(worker: int) -> tuple[int, int]:
    """Start a process that kills the group when the returned pipe closes, that is when the watcher
    ends, for whatever reason."""
    read, lifeline = os.pipe()
    guard = os.fork()
    if guard == 0:
        try:
            os.setsid()
            os.close(lifeline)
            os.read(read, 1)
            _kill(worker)
        finally:
            os._exit(0)
    os.close(read)
    return guard, lifeline


def _wait(worker: int, stopping: set[signal.Signals]) -> Ended:
    while True:
        caught = signal.sigwait({*stopping, signal.SIGCHLD})
        if caught in stopping:
            return Ended(128 + caught, signal.Signals(caught), asked=True)
        # One SIGCHLD may stand for several children, adopted ones included.
        while (found := _ended_child()) is not None:
            child, status = found
            if child != worker:
                continue
            code = os.waitstatus_to_exitcode(status)
            return Ended(code) if code >= 0 else Ended(128 - code, signal.Signals(-code))


def _ended_child() -> tuple[int, int] | None:
    try:
        child, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (child, status) if child else None


def _ask_all(worker: int, patience: float) -> None:
    """Send SIGTERM to the group and wait up to `patience` seconds for it to end."""
    with suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGTERM)
    deadline = time.monotonic() + patience
    with suppress(ChildProcessError, ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.waitpid(-1, os.WNOHANG)
            os.killpg(worker, 0)
            time.sleep(0.02)


def _end_all(worker: int) -> None:
    """Kill the group and the processes that left it, and wait until they have ended."""
    _kill(worker)
    with suppress(ChildProcessError):
        while True:
            for child in _children():
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)
    # If orphans are not adopted, another process waits for them.
    deadline = time.monotonic() + PATIENCE_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(worker, 0)
            time.sleep(0.02)


def _kill(worker: int) -> None:
    try:
        os.killpg(worker, signal.SIGKILL)
    except ProcessLookupError:
        # Killed before it had its own group, or ended.
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def _children() -> list[int]:
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:
        return []
    return [int(number) for number in text.split()]


def _adopt_orphans() -> None:
    """On Linux, adopt the processes that the work leaves behind, so that they can be ended here."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
