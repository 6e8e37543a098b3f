"""The audit of champions: who promoted which version, when and why.

Each event is one MLflow run in the experiment `promotions`. A record is written before the alias
moves and closed after it. A process killed in between leaves it open; `Registry.settle` then checks
the alias and closes the record as done or abandoned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTIONS = "promotions"

Event = Literal["first", "automatic", "promoted", "override", "rollback"]
State = Literal["requested", "done", "abandoned"]
REQUESTED: State = "requested"
DONE: State = "done"
ABANDONED: State = "abandoned"

# MLflow refuses a run's tag of more than 8000 characters.
LONGEST = 4000


@dataclass(frozen=True)
class AuditRecord:
    """One event: `version` replaced `previous_version` (empty for the first champion).

    `event` is `first` (the first champion), `automatic` (by the policy alone), `promoted` (a person
    approved), `override` (a person, against the policy) or `rollback`. `state` is `done`;
    `requested` while the event is in progress, or after it was interrupted; `abandoned` if it was
    interrupted before the alias moved.
    """

    number: int
    model_name: str
    event: str
    version: str
    previous_version: str
    approver: str
    reason: str
    at: datetime
    dagster_run_id: str
    mode: str
    state: str
    run_id: str


class Audit:
    """The records, in an MLflow experiment.

    Parameters
    ----------
    client : mlflow.MlflowClient
    experiment : function that returns the experiment's id, and makes it where it is missing
    """

    def __init__(self, client: MlflowClient, experiment: Callable[[], str]) -> None:
        self._client = client
        self._experiment = experiment

    def records(self, name: str | None = None) -> list[AuditRecord]:
        """The records of one model or all, oldest first, including those deleted in MLflow's UI."""
        from mlflow.entities import Run, ViewType

        runs: list[Run] = []
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs(
                [self._experiment()], run_view_type=ViewType.ALL, page_token=token or None
            )
            runs += page
            token = page.token or None
        found = [_record(run.info.run_id, run.data.tags) for run in runs]
        return sorted(
            (record for record in found if name in (None, record.model_name)),
            key=lambda record: record.number,
        )

    def open(
        self,
        *,
        model_name: str,
        event: Event,
        version: str,
        previous_version: str,
        approver: str,
        reason: str,
        dagster_run_id: str,
        mode: str,
    ) -> AuditRecord:
        """Write the record of an event before it happens."""
        earlier = self.records()
        tags = {
            "number": str(earlier[-1].number + 1 if earlier else 1),
            "model_name": model_name,
            "event": event,
            "version": version,
            "previous_version": previous_version,
            "approver": approver,
            "reason": shortened(reason),
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "dagster_run_id": dagster_run_id,
            "mode": mode,
            "state": REQUESTED,
        }
        run = self._client.create_run(
            self._experiment(),
            tags=tags,
            run_name=f"{model_name} {previous_version or 'none'} to {version}, {event}",
        )
        return _record(run.info.run_id, tags)

    def close(self, record: AuditRecord, state: State) -> None:
        """Set the final state of a record."""
        self._client.set_tag(record.run_id, "state", state)
        self._client.set_terminated(record.run_id, "FINISHED" if state == DONE else "KILLED")


def shortened(text: str) -> str:
    """A text truncated to the length of a tag."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def champions_before(records: list[AuditRecord], standing: str) -> list[str]:
    """The versions that were champion before the standing one, nearest first.

    A rollback undoes a promotion: the version that it left is not among them, so that a second
    rollback goes further back. A version to which the alias was moved by hand is known from the
    next record's `previous_version`.

    Parameters
    ----------
    records : one model's, oldest first
    standing : the version that is champion
    """
    reached: list[str] = []

    def arrive(version: str) -> None:
        if version and reached[-1:] != [version]:
            reached.append(version)

    for record in records:
        if record.state != DONE:
            continue
        arrive(record.previous_version)
        if record.event == "rollback" and record.version in reached:
            last = len(reached) - 1 - reached[::-1].index(record.version)
            del reached[last + 1 :]
        else:
            arrive(record.version)
    arrive(standing)
    before: list[str] = []
    for version in reversed(reached):
        if version != standing and version not in before:
            before.append(version)
    return before


def _record(run_id: str, tags: dict[str, str]) -> AuditRecord:
    def tag(name: str) -> str:
        return tags.get(name, "")

    return AuditRecord(
        number=int(tags.get("number", 0)),
        model_name=tag("model_name"),
        event=tag("event"),
        version=tag("version"),
        previous_version=tag("previous_version"),
        approver=tag("approver"),
        reason=tag("reason"),
        at=datetime.fromisoformat(tags["at"]) if "at" in tags else datetime.fromtimestamp(0, UTC),
        dagster_run_id=tag("dagster_run_id"),
        mode=tag("mode"),
        state=tag("state"),
        run_id=run_id,
    )
