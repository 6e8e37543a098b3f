"""Where something failed, in words that hold no record.

The text of an error may quote a delivered value. A notice therefore has the step, the kind of the
error, and the tables and rules that a failure lists for it; the text stays in the run's page.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from orchestration.platform.failures import PLACES
from sources.interface import DeliveryRefused

KILLED = "its processes ended without a report: killed, out of memory or out of time"
GATE = "gate_"
MOST_LISTED = 10


def place_of_event(event: dg.DagsterEvent) -> Iterator[str]:
    """Of a failed step: its places, or the kind of its error."""
    step = str(event.step_key)
    where = f"gate {step.removeprefix(GATE)}" if step.startswith(GATE) else f"step {step}"
    failed = event.step_failure_data
    given = failed.user_failure_data.metadata.get(PLACES) if failed.user_failure_data else None
    if isinstance(given, dg.JsonMetadataValue):
        yield from (f"{where}: {place}" for place in listed(list(given.value or ())))
        return
    error = failed.error
    while error is not None and error.cause is not None:
        error = error.cause
    yield f"{where}: {error.cls_name}" if error is not None and error.cls_name else where


def places_of_error(error: BaseException) -> list[str]:
    """Of an error outside a run: the files and columns of a refused delivery, or its kind."""
    if isinstance(error, DeliveryRefused):
        return listed(error.places)
    while error.__cause__ is not None:
        error = error.__cause__
    return [type(error).__name__]


def listed(places: list[str]) -> list[str]:
    """The first places, and the number of the others."""
    more = len(places) - MOST_LISTED
    return [*places[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]
