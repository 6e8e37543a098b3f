"""Fits of a study's learners and rule: functions of samples, without warehouse or model store.

A long study is fitted in a process of its own (`OwnProcess`): boosting of few rows is mostly
Python, and threads of one process take turns at that.

Keep imports light: the process imports this module when it starts.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from orchestration.models.examination import Examination, Reach, examine, reach_of
from orchestration.models.study import Learner, Material, Sample, Study
from orchestration.platform.supervision import ended_with_this_process

T = TypeVar("T")


@dataclass(frozen=True)
class Fitted:
    """A learner fitted at the deciding origin and for scoring, and examined."""

    learner: str
    model: Any
    twin: Any
    examination: Examination
    reach: Reach


def fit_learner(
    study: Study,
    material: Material,
    groups: Mapping[str, np.ndarray],
    learner: Learner,
    seed: int,
) -> Fitted:
    """Fit a learner at each origin and for scoring, and examine it."""
    with threadpool_limits(1, user_api="openmp"):
        twins = [
            _calibrated(learner.fit(split.train, seed), split.later) for split in material.splits
        ]
        model = learner.fit(material.refit, seed)
        _take_interval(model, twins[-1])
        return Fitted(
            learner.name,
            model,
            twins[-1],
            examine(study, twins, material, groups, seed),
            reach_of(study, model, material),
        )


def fit_rule(study: Study, material: Material, seed: int) -> Any:
    """The rule, fitted on data from before the evaluation period."""
    with threadpool_limits(1, user_api="openmp"):
        return _calibrated(study.rule.fit(material.train, seed), material.later)


def fit_scoring_rule(study: Study, material: Material, twin: Any, seed: int) -> Any:
    """The rule, fitted on all there is to learn from, with the intervals of `twin`."""
    with threadpool_limits(1, user_api="openmp"):
        rule = study.rule.fit(material.refit, seed)
        _take_interval(rule, twin)
        return rule


def _calibrated(model: Any, later: Sample) -> Any:
    """Calibrate the intervals of a model that has them on a period after its training."""
    if hasattr(model, "calibrate"):
        model.calibrate(later.features, later.y)
    return model


def _take_interval(model: Any, twin: Any) -> None:
    if hasattr(twin, "interval_"):
        model.interval_ = twin.interval_


def without_records(study: Study) -> Study:
    """The study without the functions that read the warehouse: another process cannot take those.

    Learners, rule, measures and the other functions must be picklable.
    """
    return replace(study, read=_not_here, newest=_not_here)


def _not_here() -> NoReturn:
    raise LookupError("the warehouse is not open in this process")


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
                f"the process that fits beside this one ended (exit code "
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
