"""Notices to a webhook and by e-mail of what failed, once for each cause, and of when it is over.

`report_run` is the one way in for a run, whether of a command or of Dagster's daemon; `report` is
that for a command that failed before its run began. Neither raises: a receiver that does not
answer must not fail a refresh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.operations.notices.failed_places import KILLED, place_of_event, places_of_error
from orchestration.operations.notices.outbox import Cause, send
from orchestration.platform import terminal
from orchestration.platform.runs import REFRESH, TRAIN
from orchestration.platform.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECK = "check_delivery"
# The jobs that a success of a job proves to be in order.
IN_ORDER = {REFRESH: (REFRESH, CHECK), TRAIN: (TRAIN,), CHECK: (CHECK,)}

__all__ = ["CHECK", "report", "report_run", "report_success", "watched"]


def report_run(
    settings: Settings, record: dg.RunRecord | None, failures: Iterable[dg.DagsterEvent] = ()
) -> list[str]:
    """Tell the receivers about a run that has ended: its failure, or that its job is in order.

    A canceled run was ended by a person, and jobs that a person launches answer that person:
    neither is reported. A run that failed before the last success of its job is history.

    Parameters
    ----------
    failures : the run's events of failed steps

    Returns
    -------
    A line for each receiver that did not take a notice; it is sent with the next one.
    """
    if record is None or record.dagster_run.job_name not in IN_ORDER:
        return []
    run = record.dagster_run
    ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else datetime.now(UTC)
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return send(settings, cleared=IN_ORDER[run.job_name], at=ended)
    if run.status != dg.DagsterRunStatus.FAILURE:
        return []
    places = tuple(place for event in failures for place in place_of_event(event)) or (KILLED,)
    return send(settings, Cause(run.job_name, places, ended, run.run_id), at=ended)


def report(
    settings: Settings, job: str, places: Sequence[str] = (KILLED,), run_id: str = ""
) -> list[str]:
    """Tell the receivers that a command or job failed outside a run, or in one under way."""
    now = datetime.now(UTC)
    return send(settings, Cause(job, tuple(places), now, run_id), at=now)


def report_success(settings: Settings, job: str) -> list[str]:
    """Send the receivers, if they have a notice of a failure, that a job is in order."""
    return send(settings, cleared=IN_ORDER[job], at=datetime.now(UTC))


def watched(settings: Settings, job: str, work: Callable[[], int]) -> int:
    """Do a command's work; an error, which belongs to no run, is reported and raised again.

    A plain `ValueError` is about an argument, which a person has just typed.
    """
    try:
        return work()
    except Exception as error:
        for line in (
            () if type(error) is ValueError else report(settings, job, places_of_error(error))
        ):
            terminal.problem(f"  note: {line}")
        raise
