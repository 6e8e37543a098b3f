"""Runs whose process has gone are closed, in Dagster and in MLflow, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from mlflow import MlflowClient

from ml.audit import PROMOTIONS
from ml.registry import Registry
from orchestration.platform import environment
from orchestration.platform.runs import (
    CUSTOMER_PAGE,
    GONE,
    LOCATION,
    PROCESS_TAG,
    close_stale_runs,
    execute,
    free_slots,
)
from orchestration.platform.settings import Settings
from tests.conftest import PROJECT

STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE
# Holds the home's lock until its standard input closes.
HOLDER = """
import sys
from orchestration.platform.lock import one_refresh_at_a_time
from orchestration.platform.settings import read_settings

with one_refresh_at_a_time(read_settings(), "make refresh"):
    print("held", flush=True)
    sys.stdin.read()
"""


@dg.op
def nothing() -> None:
    pass


@dg.job(executor_def=dg.in_process_executor)
def refresh() -> None:
    nothing()


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        # Set by `prepare`: so that it is unset behind the test.
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path / "home"))
    settings = Settings(home=tmp_path / "home")
    environment.prepare(settings)
    return settings


@pytest.fixture
def instance(settings) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as instance:
        yield instance


def begun(instance, status=STARTED, job=refresh, **tags: str) -> str:
    """A run that is under way by its status, and that no process executes."""
    return instance.create_run_for_job(job, status=status, tags=tags).run_id


def status_of(instance, run_id: str) -> dg.DagsterRunStatus:
    return instance.get_run_by_id(run_id).status


def test_a_run_whose_process_has_gone_is_a_failure(settings, instance):
    run_id = begun(instance)
    (line,) = close_stale_runs(settings, instance)
    assert run_id[:8] in line and "refresh" in line
    assert status_of(instance, run_id) == FAILURE
    events = instance.all_logs(run_id)
    assert GONE in [event.user_message or event.message for event in events]
    assert close_stale_runs(settings, instance) == []


def test_a_run_being_canceled_is_canceled(settings, instance):
    run_id = begun(instance, dg.DagsterRunStatus.CANCELING)
    assert len(close_stale_runs(settings, instance)) == 1
    assert status_of(instance, run_id) == dg.DagsterRunStatus.CANCELED


def test_no_run_is_closed_while_another_process_holds_the_lock(settings, instance):
    run_id = begun(instance)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert close_stale_runs(settings, instance) == []
        assert status_of(instance, run_id) == STARTED
        holder.communicate("", timeout=60)
    assert len(close_stale_runs(settings, instance)) == 1
    assert status_of(instance, run_id) == FAILURE


def test_the_places_in_a_pool_of_runs_that_ended_are_freed(settings, instance):
    """A killed one would keep its place, and the next refresh wait for it."""
    storage = instance.event_log_storage
    storage.set_concurrency_slots("warehouse", 3)
    ended, under_way = begun(instance, FAILURE), begun(instance)
    for run_id in (ended, under_way, "removed by make retain"):
        assert storage.claim_concurrency_slot("warehouse", run_id, "base_layer").is_claimed
    free_slots(instance)
    info = storage.get_concurrency_info("warehouse")
    assert {one.run_id for one in info.claimed_slots} == {under_way}


def test_a_recent_run_of_the_ui_is_not_closed(settings, instance):
    """A command has it before its run begins."""
    of_ui = begun(instance)
    of_command = begun(instance, **{PROCESS_TAG: "1"})
    (line,) = close_stale_runs(settings, instance, timedelta(minutes=1))
    assert of_command[:8] in line
    assert status_of(instance, of_ui) == STARTED


def test_runs_without_a_lock_or_still_waiting_are_left_alone(settings, instance):
    @dg.job(name=CUSTOMER_PAGE)
    def page() -> None:
        nothing()

    left = {
        begun(instance, job=page): STARTED,
        begun(instance, dg.DagsterRunStatus.NOT_STARTED): dg.DagsterRunStatus.NOT_STARTED,
        begun(instance, dg.DagsterRunStatus.STARTING): dg.DagsterRunStatus.STARTING,
        begun(instance, dg.DagsterRunStatus.SUCCESS): dg.DagsterRunStatus.SUCCESS,
    }
    assert close_stale_runs(settings, instance) == []
    assert {run_id: status_of(instance, run_id) for run_id in left} == left


def test_runs_of_a_dagster_home_that_others_share_are_left_alone(
    settings, instance, tmp_path, monkeypatch
):
    run_id = begun(instance)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "shared"))
    assert close_stale_runs(Settings(home=settings.home), instance) == []
    assert status_of(instance, run_id) == STARTED


def test_a_run_of_a_command_belongs_to_the_code_location(settings, instance):
    """The UI's timeline shows no others."""
    result = execute(refresh, instance, {}, {PROCESS_TAG: "1"})
    assert result.success
    run = instance.get_run_by_id(result.run_id)
    assert run.remote_job_origin.location_name == LOCATION
    assert run.remote_job_origin.job_name == "refresh"
    assert run.tags[PROCESS_TAG] == "1"


def test_mlflow_runs_left_by_a_gone_run_are_killed(settings, instance, model_store):
    """But no run of another origin and no record of a promotion, which `settle` handles."""
    gone, done = begun(instance), begun(instance, dg.DagsterRunStatus.SUCCESS)
    shutil.copy(model_store, settings.mlflow_home)
    client = MlflowClient(settings.mlflow_tracking_uri)

    def running(experiment: str, dagster_run_id: str | None) -> str:
        tags = {"dagster_run_id": dagster_run_id} if dagster_run_id else {}
        found = client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else client.create_experiment(experiment)
        return client.create_run(number, tags=tags).info.run_id

    expected = {
        running("clv", gone): "KILLED",
        running("segment", gone): "KILLED",
        running("clv", done): "RUNNING",
        running("clv", None): "RUNNING",
        running(PROMOTIONS, gone): "RUNNING",
    }
    assert len(close_stale_runs(settings, instance)) == 1
    assert {run_id: client.get_run(run_id).info.status for run_id in expected} == expected
    registry = Registry(settings.mlflow_tracking_uri, str(settings.mlflow_home / "artifacts"))
    assert registry.close_unfinished({gone}) == 0
    assert registry.close_unfinished({done}) == 1
