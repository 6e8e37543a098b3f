"""What a refresh says while it runs: what each step does as it does it, warnings and errors whole.

A step says it with `tell`: Dagster's log of the run holds it, and so does the terminal, under the
step's name and with the seconds since it began.
"""

import logging
import sys
import threading
import time
from dataclasses import dataclass, field

import dagster as dg

TOLD = "jingxi_told"
# A step that says nothing for so long is said to be still at it.
MOST_SILENT_SECONDS = 12.0


def tell(message: str) -> None:
    """Say what the step of this thread is doing. Outside a run nobody hears it."""
    dg.get_dagster_logger().info(message, extra={TOLD: True})


@dataclass
class _Step:
    name: str
    started: float = field(default_factory=time.monotonic)
    is_named: bool = False
    tables: dict[str, None] = field(default_factory=dict)


def name_of(step_key: str) -> str:
    """A step as the terminal names it: `models`, `gate G3`, `release`."""
    if step_key.startswith("gate_"):
        return step_key.replace("_", " ", 1)
    return step_key.removesuffix("_layer").split("__")[0]


class ProgressHandler(logging.Handler):
    """Turns Dagster's step events, what steps tell, and warnings into lines."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._steps: dict[str, _Step] = {}
        self._timer: threading.Timer | None = None

    @staticmethod
    def _say(line: str) -> None:
        # The real standard output: what the components print goes to the log of the refresh.
        print(line, file=sys.__stdout__, flush=True)

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None:
            message = meta.get("orig_message") or record.getMessage()
            # Every step behind a failed one says so; the failed one is what matters.
            is_told = getattr(record, TOLD, False) or record.levelno >= logging.WARNING
            if is_told and not message.startswith("Dependencies for"):
                self._under(meta.get("step_key"), message)
            return
        key = event.step_key
        if event.event_type_value == "STEP_START":
            self._steps[key] = _Step(name_of(key))
            self._wait()
        elif event.event_type_value == "ASSET_MATERIALIZATION" and key in self._steps:
            # An event a table and month.
            table = ".".join(event.asset_key.path)
            self._steps[key].tables[table] = None
        elif event.event_type_value in {"STEP_SUCCESS", "STEP_FAILURE"}:
            step = self._steps.pop(key, None) or _Step(name_of(key))
            state = "FAILED" if event.event_type_value == "STEP_FAILURE" else "done"
            self._say(f"  {step.name:<24}{state:<8}{time.monotonic() - step.started:6.1f} s")
            self._wait()
        elif event.event_type_value == "STEP_SKIPPED":
            self._say(f"  {name_of(key):<24}skipped")

    def _under(self, key: str | None, message: str) -> None:
        """A line under its step, whose name comes before the first."""
        step = self._steps.get(key or "")
        text = message.replace("\n", "\n    ")
        if step is None:
            self._say(f"    {text}")
            return
        if not step.is_named:
            step.is_named = True
            self._say(f"  {step.name}")
        self._say(f"    {time.monotonic() - step.started:6.1f} s  {text}")
        self._wait()

    def _wait(self) -> None:
        """Begin to count the silence anew; nobody is waited for when no step runs."""
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
                tables = f": {len(built)} tables built, last {built[-1]}" if built else ""
                self._under(key, f"still running{tables}")


@dg.logger
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("jingxi.progress", logging.DEBUG)
    logger.addHandler(ProgressHandler())
    return logger
