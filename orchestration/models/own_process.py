"""A process beside this one: boosting and batches are mostly Python, and threads of one process
take turns at that.

Keep imports light: the process imports this module when it starts.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from orchestration.platform.supervision import ended_with_this_process

T = TypeVar("T")
Given = TypeVar("Given")
Found = TypeVar("Found")


class OwnProcess:
    """A process that runs one call after the other; it starts with the first.

    It ends with the `with` block, or with the process that started it, however that ends.
    """

    def __init__(self) -> None:
        self._calls = ThreadPoolExecutor(1)
        self._process: BaseProcess | None = None
        self._guard = ExitStack()

    def __enter__(self) -> OwnProcess:
        return self

    def __exit__(self, *_: object) -> None:
        # First the process: a call that still waits for it then fails instead of holding the exit.
        self._guard.close()
        self._calls.shutdown(cancel_futures=True)
        if self._process is not None:
            self._process.join()

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """The future result of a call; function, arguments and result must be picklable."""
        return self._calls.submit(self._call, function, *arguments)

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._process is None:
            # Not a fork: threads of the engine and of OpenMP do not survive one.
            context = multiprocessing.get_context("spawn")
            self._pipe, its_end = context.Pipe()
            self._process = context.Process(target=_serve, args=(its_end,), daemon=True)
            self._process.start()
            its_end.close()
            self._guard.enter_context(ended_with_this_process(self._process))
        try:
            self._pipe.send((function, arguments))
            result, error = self._pipe.recv()
        except (EOFError, OSError) as lost:
            self._process.join()
            raise RuntimeError(
                f"the process that works beside this one ended (exit code "
                f"{self._process.exitcode}). Free memory for it, and run the refresh again"
            ) from lost
        if error is not None:
            raise error
        return result


def _serve(pipe: Connection) -> None:
    # Ctrl-C reaches both processes; the one that started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError), threadpool_limits(1):
        while True:
            function, arguments = pipe.recv()
            answer: tuple[Any, Exception | None]
            try:
                answer = function(*arguments), None
            except Exception as error:
                error.add_note(traceback.format_exc())
                answer = None, error
            pipe.send(answer)


# What the process works with: a work is sent once, not with each of its frames.
_work: list[Callable[[Any], Any]] = []


def _keep(work: Callable[[Any], Any]) -> None:
    _work[:] = [work]


def _kept(given: Any) -> Any:
    return _work[0](given)


def side_by_side(
    work: Callable[[Given], Found], batches: Iterable[Given]
) -> Iterator[tuple[Given, Found]]:
    """Each batch and what `work` makes of it, in their order: by turns in a thread of this process
    and in a process of its own, so that two at most are held.

    Of one batch, or with one core, there is no other process. `work`, batches and results must be
    picklable.
    """

    def alone(given: Given) -> Found:
        # Trees and batches are small, so more threads per model would only wait for each other.
        with threadpool_limits(1, user_api="openmp"):
            return work(given)

    with ThreadPoolExecutor(1) as here, OwnProcess() as beside:

        def in_turn() -> Iterator[Callable[[Given], Future[Found]]]:
            yield lambda given: here.submit(alone, given)
            if (os.cpu_count() or 1) > 1:
                beside.submit(_keep, work).result()
                yield lambda given: beside.submit(_kept, given)

        workers = cycle(in_turn())
        begun: deque[tuple[Given, Future[Found]]] = deque()
        for given in batches:
            begun.append((given, next(workers)(given)))
            if len(begun) == 2:
                first, found = begun.popleft()
                yield first, found.result()
        while begun:
            first, found = begun.popleft()
            yield first, found.result()
