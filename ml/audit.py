"""Who made which version champion, when and why: one MLflow run an event, in `promotions`.

A record is written before the alias moves and closed after it. A process killed between leaves it
open; `Registry.settle` reads from the alias whether the move came to pass, and closes it with that.
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
    """One event: `version` took the place of `previous_version` (empty where there was none).

    `event` is `first` (somebody has to score), `automatic` (by the policy alone), `promoted` (a
    person approved), `override` (a person, against the policy) or `rollback`. `state` is `done`;
    `requested` while it is under way, or since it was interrupted; `abandoned` when it was
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
        """Of one model or all, oldest first; those deleted in MLflow's UI too."""
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
        """Write the record of what is about to happen."""
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
        """Say what became of it."""
        self._client.set_tag(record.run_id, "state", state)
        self._client.set_terminated(record.run_id, "FINISHED" if state == DONE else "KILLED")


def shortened(text: str) -> str:
    """A text as long as a tag may be."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def champions_before(records: list[AuditRecord], standing: str) -> list[str]:
    """The versions that were champion before the standing one, nearest first.

    A rollback undoes a promotion: what it left is not among them, so that a second rollback goes
    further back and not to where the first came from. What the alias was moved to by hand is known
    from the next record's `previous_version`.

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
    def said(name: str) -> str:
        return tags.get(name, "")

    return AuditRecord(
        number=int(tags.get("number", 0)),
        model_name=said("model_name"),
        event=said("event"),
        version=said("version"),
        previous_version=said("previous_version"),
        approver=said("approver"),
        reason=said("reason"),
        at=datetime.fromisoformat(tags["at"]) if "at" in tags else datetime.fromtimestamp(0, UTC),
        dagster_run_id=said("dagster_run_id"),
        mode=said("mode"),
        state=said("state"),
        run_id=run_id,
    )
