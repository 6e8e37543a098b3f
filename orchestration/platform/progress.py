"""The progress of a refresh on the terminal: each step's reports, warnings and errors in full.

A step reports with `report_progress`. The message goes to Dagster's log; the terminal shows it
below the step's name with the seconds since the step began, and at the bottom a bar of the steps.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.platform.wording import Found, in_language
from reports.formats import ENGLISH, padded
from sources.message import Message

if TYPE_CHECKING:
    from rich.progress import Progress

REPORTED = "jingxi_progress"
SECONDS = Message("s")
# In English a stage has the name of its step.
STAGES = {
    "landing": Message("stage: landing"),
    "base": Message("stage: base"),
    "value": Message("stage: value"),
    "features": Message("stage: features"),
    "models": Message("stage: models"),
    "scores": Message("stage: scores"),
    "customer_scores": Message("stage: scores of customers"),
    "alerts": Message("stage: alerts"),
    "contacts": Message("stage: contacts"),
    "campaign_inputs": Message("stage: records of campaigns"),
    "campaigns": Message("stage: campaigns"),
    "plan": Message("stage: plan"),
    "decisions": Message("stage: decisions"),
    "release": Message("stage: release"),
    "portal": Message("stage: portal"),
}
# A step without a report for this long is reported as still running.
MOST_SILENT_SECONDS = 12.0


def report_progress(message: str, *, warns: bool = False) -> None:
    """Report the progress of this thread's step, or a warning; does nothing outside a run. The log
    is in English."""
    level = logging.WARNING if warns else logging.INFO
    dg.get_dagster_logger().log(level, str(message), extra={REPORTED: message})


class Lines:
    """Progress as lines on the process's standard output; `sys.stdout` is redirected to the log of
    the refresh."""

    def show(self, line: str, style: str = "") -> None:
        """Print a line; one with a style is a warning or an error."""
        print(line, file=sys.__stdout__, flush=True)

    def now(self, running: list[str], ended: int) -> None:
        """Show the running steps and the number of steps that ended since the last call."""


class Problems(Lines):
    """Warnings and errors only, on standard error: `--quiet`."""

    def show(self, line: str, style: str = "") -> None:
        if style:
            print(line, file=sys.__stderr__, flush=True)


class Bar(Lines):
    """Progress on a terminal: lines, and below them a bar of the steps."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress, self._task = progress, progress.add_task("", total=steps)

    def show(self, line: str, style: str = "") -> None:
        self._progress.console.print(
            line, style=style, markup=False, highlight=False, emoji=False, soft_wrap=True
        )

    def now(self, running: list[str], ended: int) -> None:
        self._progress.update(self._task, advance=ended, description=", ".join(running))


_display = Lines()
_language = ENGLISH
# Whether this process displays a run as a whole.
_is_displayed = False


@contextmanager
def displayed(
    steps: int, *, quiet: bool, bar: bool = True, language: str = ENGLISH
) -> Iterator[None]:
    """Show the progress of a run of `steps` steps: only warnings and errors if `quiet`, else lines,
    with a `bar` below them on a terminal."""
    global _language, _display, _is_displayed
    _language, _is_displayed = language, True
    try:
        with _shown(steps, quiet=quiet, bar=bar):
            yield
    finally:
        _language, _display, _is_displayed = ENGLISH, Lines(), False


@contextmanager
def _shown(steps: int, *, quiet: bool, bar: bool) -> Iterator[None]:
    global _display
    stream = sys.__stdout__
    if quiet or not bar or stream is None or not stream.isatty():
        _display = Problems() if quiet else Lines()
        yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    progress = Progress(
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(file=stream),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with progress:
        _display = Bar(progress, steps)
        yield


@dataclass
class _Step:
    name: str
    started: float = field(default_factory=time.monotonic)
    is_named: bool = False
    tables: dict[str, None] = field(default_factory=dict)


def name_of(step_key: str) -> str:
    """The name of a step on the terminal: `models`, `gate G3`, `release`."""
    if step_key.startswith("gate_"):
        return _worded(Message("gate {0}", step_key.removeprefix("gate_")))
    name = step_key.removesuffix("_layer").split("__")[0]
    return _worded(Found(name, STAGES[name])) if name in STAGES else name


class ProgressHandler(logging.Handler):
    """Prints Dagster's step events, the steps' reports, warnings and errors as lines."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._steps: dict[str, _Step] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None:
            message = meta.get("orig_message") or record.getMessage()
            # Leave out the messages of the steps that are skipped after a failed one.
            words = getattr(record, REPORTED, "")
            is_shown = words or record.levelno >= logging.WARNING
            if is_shown and not message.startswith("Dependencies for"):
                shown = _worded(words or message)
                self._under(meta.get("step_key"), shown, _style_of(record.levelno))
            return
        key = event.step_key
        if event.event_type_value == "STEP_START":
            self._steps[key] = _Step(name_of(key))
            self._now()
        elif event.event_type_value == "ASSET_MATERIALIZATION" and key in self._steps:
            # There is one event per table and month.
            table = ".".join(event.asset_key.path)
            self._steps[key].tables[table] = None
        elif event.event_type_value in {"STEP_SUCCESS", "STEP_FAILURE"}:
            step = self._steps.pop(key, None) or _Step(name_of(key))
            failed = event.event_type_value == "STEP_FAILURE"
            state, style = (Message("FAILED"), "red") if failed else (Message("done"), "")
            seconds = f"{time.monotonic() - step.started:6.1f} {_worded(SECONDS)}"
            line = f"  {padded(step.name, 24)}{padded(_worded(state), 8)}{seconds}"
            _display.show(line, style)
            self._now(ended=1)
        elif event.event_type_value == "STEP_SKIPPED":
            _display.show(f"  {padded(name_of(key), 24)}{_worded(Message('skipped'))}")
            self._now(ended=1)

    def _under(self, key: str | None, message: str, style: str = "") -> None:
        """Print a line below its step, with the step's name before the first line."""
        step = self._steps.get(key or "")
        text = message.replace("\n", "\n    ")
        if step is None:
            _display.show(f"    {text}", style)
            return
        if not step.is_named:
            step.is_named = True
            _display.show(f"  {step.name}", style)
        seconds = f"{time.monotonic() - step.started:6.1f} {_worded(SECONDS)}"
        _display.show(f"    {seconds}  {text}", style)
        self._wait()

    def _now(self, ended: int = 0) -> None:
        _display.now([step.name for step in self._steps.values()], ended)
        self._wait()

    def _wait(self) -> None:
        """Restart the timer of silence; stop it if no step runs."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._steps:
            self._timer = threading.Timer(MOST_SILENT_SECONDS, self._still)
            self._timer.daemon = True
            self._timer.start()

    def _still(self) -> None:
        with self.lock or threading.RLock():
            for key, step in list(self._steps.items()):
                built = list(step.tables)
                state = Message("still running")
                if built:
                    count = len(built)
                    state = Message("{0}: {1} tables built, last {2}", state, count, built[-1])
                self._under(key, _worded(state))


def _worded(text: str) -> str:
    return in_language(text, _language)


def _style_of(level: int) -> str:
    if level >= logging.ERROR:
        return "red"
    return "yellow" if level >= logging.WARNING else ""


SHOWN = {
    "quiet": dg.Field(bool, default_value=False),
    "language": dg.Field(str, default_value=ENGLISH),
}


@dg.logger(config_schema=SHOWN)
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """The progress of a run. Its configuration is for the processes of single steps, which the
    command that displays the run starts, and which `displayed` does not reach."""
    global _language, _display
    if not _is_displayed:
        config = context.logger_config
        _language, _display = config["language"], Problems() if config["quiet"] else Lines()
    logger = logging.Logger("jingxi.progress", logging.DEBUG)
    logger.addHandler(ProgressHandler())
    return logger
