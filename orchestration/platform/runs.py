"""Execute a command as a run that the UI lists, and close runs whose process has gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.platform.event_log import kept_open
from orchestration.platform.lock import RefreshRunning, one_refresh_at_a_time
from orchestration.platform.resources import MODEL_TAG
from orchestration.platform.settings import Settings
from sources.message import Message

# The location's name in workspace.yaml, and Dagster's name for the repository of `Definitions`.
LOCATION, REPOSITORY = "jingxi", "__repository__"
REFRESH, TRAIN, CUSTOMER_PAGE = "refresh", "train", "customer_page"

# The process that watches a command's run, and closes the run if it is killed.
PROCESS_TAG = "jingxi/process"
UNFINISHED = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
# A run launched by the UI takes the lock a few seconds after it is STARTING.
LAUNCH = timedelta(minutes=3)
GONE = "The process of this run has gone: no process held the lock of the home."


def execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> dg.JobExecutionResult:
    """Execute a job in this process, or in processes that it starts, as a run of the code location.

    With the tag `MODEL_TAG` the run consists of that model's asset and its check.

    The UI's timeline shows the runs of code locations only; those of `execute_in_process` belong to
    none.
    """
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._core.execution.api import execute_run
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )

    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), REPOSITORY)
    model = {dg.AssetKey(["models", tags[MODEL_TAG]])} if MODEL_TAG in tags else None
    with kept_open(Path(instance.root_directory)):
        run = instance.create_run_for_job(
            job,
            run_config=run_config,
            tags={**job.run_tags, **tags},
            asset_selection=model,
            remote_job_origin=RemoteJobOrigin(repository, job.name),
        )
        if job.executor_def.name == dg.in_process_executor.name:
            return execute_run(InMemoryJob(job), run, instance)
        # Other processes make the job from the code location.
        location = ReconstructableRepository.for_module("orchestration.definitions", "defs")
        return execute_run(location.get_reconstructable_job(job.name), run, instance)


def free_slots(instance: dg.DagsterInstance) -> None:
    """Free the places in pools of runs that have ended: a killed one would keep its place, and the
    next refresh wait for it. Dagster's daemon does so, too, where there is one."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)


def close_stale_runs(
    settings: Settings, instance: dg.DagsterInstance, unchanged_for: timedelta = timedelta()
) -> list[str]:
    """Close the runs with an unfinished status whose process has gone.

    The holder of the home's lock is the only run that changes the home. A killed run would stay
    STARTED, and the UI's queue of one would wait for it. The daemon handles QUEUED runs; a run of a
    customer's page, which takes no lock, ends at its maximum run time. If several homes share a
    `DAGSTER_HOME`, a run may belong to another home: none is closed.

    Parameters
    ----------
    unchanged_for : runs of the UI whose status changed more recently than this are left open; a
        command holds the lock before its run begins

    Returns
    -------
    A line for each run closed.
    """
    if not settings.dagster_home.is_relative_to(settings.home):
        return []
    if not _unfinished(instance, unchanged_for):
        return []
    try:
        with one_refresh_at_a_time(settings, "the closing of stale runs"):
            stale = _unfinished(instance, unchanged_for)
            _close_model_runs(settings, {run.run_id for run in stale})
            for run in stale:
                if run.status == dg.DagsterRunStatus.CANCELING:
                    instance.report_run_canceled(run, GONE)
                else:
                    instance.report_run_failed(run, GONE)
    except RefreshRunning:
        return []
    return [
        Message("closed run {0} of {1}: its process has gone", run.run_id[:8], run.job_name)
        for run in stale
    ]


def _unfinished(instance: dg.DagsterInstance, unchanged_for: timedelta) -> list[dg.DagsterRun]:
    now = datetime.now(UTC)
    found = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED))):
        run = record.dagster_run
        settled = LAUNCH if run.status == dg.DagsterRunStatus.STARTING else unchanged_for
        # The storage has UTC times without a zone.
        age = now - record.update_timestamp.replace(tzinfo=UTC)
        if run.job_name != CUSTOMER_PAGE and (PROCESS_TAG in run.tags or age >= settled):
            found.append(run)
    return found


def _close_model_runs(settings: Settings, run_ids: set[str]) -> None:
    own = settings.mlflow_tracking_uri == settings.own_model_store
    if own and not (settings.mlflow_home / "mlflow.db").exists():
        # No model is trained yet, and opening a store creates it.
        return
    from mlflow.exceptions import MlflowException

    from ml.registry import Registry

    try:
        registry = Registry(settings.mlflow_tracking_uri, settings.artifact_root)
        registry.close_unfinished(run_ids)
    except MlflowException:
        # The code that needs the store reports that it does not respond.
        return
