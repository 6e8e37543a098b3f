"""The sensors, which are off until somebody switches them on in Dagster.

A sensor only asks for a run; the queue runs one at a time. Its run keys follow from what it saw, so
that the same cause asks once, whatever the cursor is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from orchestration.operations import notices
from orchestration.operations.arrivals import arrival_of, incomplete, read_checked
from orchestration.operations.jobs import AssetJob, refresh_tags
from orchestration.operations.notices import CHECK
from orchestration.platform.engine import connect
from orchestration.platform.model_store import check_model_store
from orchestration.platform.releases import served
from orchestration.platform.resources import TRAIN_TAG
from orchestration.platform.runs import REFRESH, TRAIN, UNFINISHED
from orchestration.platform.settings import Settings

DELIVERY, CHAMPION, DRIFT = "delivery_arrived", "champion_changed", "model_out_of_bounds"
FAILED, CLEARED = "failure_notice", "all_clear_notice"
LOOK_SECONDS, RARELY_SECONDS = 60, 600
WATCHED = ("model_drift", "model_monitoring")
WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, *UNFINISHED)

Step = dg.RunRequest | dg.SkipReason


def sensors(settings: Settings, jobs: Sequence[AssetJob]) -> list[dg.SensorDefinition]:
    """All sensors, switched off; `jobs` are those of refresh, training and check."""
    refresh, train, check = jobs

    @dg.sensor(
        name=DELIVERY,
        jobs=[check, refresh],
        minimum_interval_seconds=LOOK_SECONDS,
        description="When a delivery is complete: checks it, and refreshes if it is accepted.",
    )
    def delivery_arrived(context: dg.SensorEvaluationContext) -> Step:
        step, cursor = after_delivery(settings, context.cursor, datetime.now(UTC))
        context.update_cursor(cursor)
        return step

    @dg.sensor(
        name=CHAMPION,
        job=refresh,
        minimum_interval_seconds=RARELY_SECONDS,
        description="When another version of a model comes into use: scores and publishes again.",
    )
    def champion_changed(context: dg.SensorEvaluationContext) -> Step:
        return _busy(context.instance) or after_promotion(settings)

    @dg.sensor(
        name=DRIFT,
        job=train,
        minimum_interval_seconds=RARELY_SECONDS,
        description="When a model of the served release drifts or misses its level: trains it.",
    )
    def model_out_of_bounds(context: dg.SensorEvaluationContext) -> Step:
        return _busy(context.instance) or after_drift(settings)

    @dg.run_failure_sensor(
        name=FAILED,
        description="When a run or a gate fails: informs the receivers of notices, once.",
    )
    def failure_notice(context: dg.RunFailureSensorContext) -> None:
        _tell(settings, context, context.get_step_failure_events())

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name=CLEARED,
        description="When a job succeeds after a failure: informs the receivers of notices.",
    )
    def all_clear_notice(context: dg.RunStatusSensorContext) -> None:
        _tell(settings, context)

    return [
        delivery_arrived,
        champion_changed,
        model_out_of_bounds,
        failure_notice,
        all_clear_notice,
    ]


def after_delivery(settings: Settings, cursor: str | None, now: datetime) -> tuple[Step, str]:
    """What a look at the delivery asks for, and the cursor: what was seen, and since when.

    The quiet time counts from the first look at this state of the folder: a copy may carry old
    times of change.
    """
    arrival = arrival_of(settings)
    if arrival is None:
        return dg.SkipReason("no delivery: JINGXI_SOURCE_PATH names no folder with files"), ""
    seen = json.loads(cursor or "{}")
    if seen.get("digest") != arrival.digest:
        seen = {"digest": arrival.digest, "since": now.isoformat()}
    kept = json.dumps(seen)
    reason = incomplete(settings, arrival, now - datetime.fromisoformat(seen["since"]))
    if reason is not None:
        return dg.SkipReason(f"the delivery is not complete: {reason}"), kept
    checked = read_checked(settings)
    if checked is None or checked.digest != arrival.digest:
        number = checked.number + 1 if checked else 1
        return dg.RunRequest(run_key=f"check {arrival.digest} {number}", job_name=CHECK), kept
    if not checked.accepted:
        return dg.SkipReason("the check refused this delivery; a changed one is checked"), kept
    return (
        dg.RunRequest(
            run_key=f"refresh {arrival.digest} {checked.number}",
            job_name=REFRESH,
            tags=refresh_tags(checked.as_of),
        ),
        kept,
    )


def after_promotion(settings: Settings) -> Step:
    """A refresh that trains nothing, where a champion is not the version of the served release."""
    release = _release(settings)
    if release is None:
        return dg.SkipReason("nothing is published yet")
    release_id, as_of, scored = release
    own = settings.mlflow_tracking_uri == settings.own_model_store
    if not scored or (own and not (settings.mlflow_home / "mlflow.db").exists()):
        # Opening a store creates it, and a refresh could not report that it is missing.
        return dg.SkipReason(f"release {release_id} has no model, or the home no model store")
    check_model_store(settings)
    from ml.registry import Registry

    registry = Registry(settings.mlflow_tracking_uri, settings.artifact_root)
    found = {name: registry.champion(name) for name in scored}
    changed = {
        name: champion.version
        for name, champion in found.items()
        if champion is not None and champion.version != scored[name]
    }
    if not changed:
        return dg.SkipReason(f"release {release_id} is scored with the champions")
    return dg.RunRequest(
        run_key=_key(release_id, changed), tags={**refresh_tags(as_of), TRAIN_TAG: "never"}
    )


def after_drift(settings: Settings) -> Step:
    """Training of the models whose drift or level G3 warned of in the served release; once."""
    current = served(settings)
    if current is None:
        return dg.SkipReason("nothing is published yet")
    with connect(settings, current, read_only=True) as connection:
        results = connection.table("meta.gate_result").select(
            "gate, severity, success, subject, about"
        )
        warned = [
            about
            for gate, severity, success, subject, about in results.fetchall()
            if gate == "G3" and severity == "warn" and not success and subject in WATCHED
        ]
    models = sorted({name.removeprefix("models.") for about in warned for name in about})
    if not models:
        return dg.SkipReason(f"no model of release {current.stem} is out of bounds")
    return dg.RunRequest(
        run_key=f"{TRAIN} {current.stem}",
        asset_selection=[dg.AssetKey(["models", name]) for name in models],
    )


def _release(settings: Settings) -> tuple[str, str, dict[str, str]] | None:
    """The served release: its id, its as-of month, and the version of each model that scored."""
    current = served(settings)
    if current is None:
        return None
    with connect(settings, current, read_only=True) as connection:
        ((as_of,),) = connection.table("meta.release").select("as_of").fetchall()
        versions = connection.table("meta.model_version").select("model_name, version").fetchall()
    scored = {name: version for name, version in versions if version is not None}
    return current.stem, as_of, scored


def _key(release_id: str, changed: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:16]
    return f"{release_id} {digest}"


def _busy(instance: dg.DagsterInstance) -> dg.SkipReason | None:
    """A run under way may train, promote or publish: what it leaves is looked at afterwards."""
    records = instance.get_run_records(dg.RunsFilter(statuses=list(WAITING)))
    names = sorted({record.dagster_run.job_name for record in records} & {REFRESH, TRAIN})
    return dg.SkipReason(f"under way: {', '.join(names)}") if names else None


def _tell(
    settings: Settings,
    context: dg.RunStatusSensorContext,
    failures: Sequence[dg.DagsterEvent] = (),
) -> None:
    record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
    for line in notices.report_run(settings, record, failures):
        context.log.warning(line)
