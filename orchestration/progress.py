"""What a refresh says while it runs: one line a step, warnings and errors in full."""

import logging
import sys
import time

import dagster as dg

STEP_NAMES = {
    "landing_layer": "landing",
    "base_layer": "base",
    "value_layer": "value",
    "features_layer": "features",
    "models_layer": "models",
    "scores_layer": "scores",
    "release__published": "release",
}


class ProgressHandler(logging.Handler):
    """Turns Dagster's step events into lines."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._started: dict[str, float] = {}

    @staticmethod
    def _say(line: str) -> None:
        # The real standard output: what the components print goes to the log of the refresh.
        print(line, file=sys.__stdout__, flush=True)

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is None:
            message = getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()
            # Every step behind a failed one says so; the failed one is what matters.
            if record.levelno >= logging.WARNING and not message.startswith("Dependencies for"):
                self._say(f"    {message}")
            return
        step = event.step_key
        name = STEP_NAMES.get(step, (step or "").replace("__", "/").replace("gate_", "gate "))
        if event.event_type_value == "STEP_START":
            self._started[step] = time.monotonic()
        elif event.event_type_value in {"STEP_SUCCESS", "STEP_FAILURE"}:
            seconds = time.monotonic() - self._started.get(step, time.monotonic())
            failed = event.event_type_value == "STEP_FAILURE"
            self._say(f"  {name:<24}{'FAILED' if failed else 'done':<8}{seconds:6.1f} s")
        elif event.event_type_value == "STEP_SKIPPED":
            self._say(f"  {name:<24}skipped")


@dg.logger
def progress_logger(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("jingxi.progress", logging.DEBUG)
    logger.addHandler(ProgressHandler())
    return logger
