"""What ends, and what stays: the served release, what a rollback needs, what releases name."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from orchestration.cli import main
from orchestration.home import retention
from orchestration.home.jobs import retain_job
from orchestration.home.retention import retain
from orchestration.platform import audit, releases
from orchestration.platform.identity import ActRefused
from orchestration.platform.resources import Home
from orchestration.platform.settings import Settings, read_settings
from tests.conftest import once
from tests.homes import ARTIFACT, contents, make_home, release_id

DAY = 86_400


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Path:
    def make(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
                patch.delenv(name, raising=False)
            make_home(place / "home", model_store, releases=6)

    return once(tmp_path_factory, "home_of_six", make) / "home"


@pytest.fixture
def settings(original, tmp_path, monkeypatch) -> Settings:
    home = tmp_path / "home"
    shutil.copytree(original, home, symlinks=True)
    monkeypatch.setenv("JINGXI_HOME", str(home))
    monkeypatch.setenv("JINGXI_KEPT_RELEASES", "2")
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return read_settings()


def left(settings: Settings) -> list[str]:
    return [path.stem for path in releases.releases_of(settings)]


def aged(path: Path, days: int) -> Path:
    """A file or folder as it was some days ago."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))
    return path


def test_releases_beyond_the_limit_go_with_their_reports_and_exports(settings):
    found = retain(settings)
    assert left(settings) == [release_id(5), release_id(6)]
    for folder in (settings.reports, settings.exports):
        kept = {path.name for path in folder.iterdir() if path.name.startswith("2025-")}
        assert kept == {release_id(5), release_id(6)}
    assert sum(found["after"].values()) < sum(found["before"].values())
    assert {one["part"] for one in found["ended"]} == {"release", "reports of a release", "export"}
    (line,) = (one for one in audit.entries(settings) if one.act == "retain")
    assert (line.outcome, line.detail) == ("done", "release 4; reports of a release 4; export 4")


def test_the_served_release_stays_and_what_a_rollback_returns_to(settings):
    releases.roll_back(settings, release_id(3))
    before = (settings.published / "current.duckdb").read_bytes()
    retain(settings)
    assert left(settings) == [release_id(number) for number in (2, 3, 5, 6)]
    assert (settings.published / "current.duckdb").read_bytes() == before
    assert releases.roll_back(settings, None).stem == release_id(2)
    assert audit.examine(settings, releases.audit_heads(settings)).problem is None


def test_a_second_time_nothing_ends(settings):
    retain(settings)
    before = contents(settings.home)
    found = retain(settings)
    assert found["ended"] == []
    changed = {name for name, one in contents(settings.home).items() if before.get(name) != one}
    assert changed == {"audit/audit.jsonl"}


def test_a_dry_run_shows_the_same_and_writes_nothing(settings, capsys):
    aged(settings.home / "logs" / "old.log", 31)
    before = contents(settings.home)
    assert main(["retain", "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert contents(settings.home) == before
    assert main(["retain", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ended"] == shown["ended"]
    assert len(shown["ended"]) == 13


@pytest.mark.slow
def test_it_can_be_killed_between_any_two_removals(settings, monkeypatch):
    """The next one makes up for it: what depends on a release follows from those that are left."""
    monkeypatch.setattr(retention, "_mlflow_runs", lambda *_: ())
    expected = None
    for number in range(0, 13, 3):
        home = settings.home.with_name(f"home{number}")
        shutil.copytree(settings.home, home, symlinks=True)
        killed = settings.model_copy(update={"home": home})
        for one, _ in zip(retention._plan(killed, []), range(number), strict=False):
            one.remove()
        retain(killed)
        found = contents(home)
        found.pop("audit/audit.jsonl")
        expected = expected or found
        assert found == expected
    assert len([name for name in expected if name.endswith(".duckdb")]) == 4


def test_logs_reports_of_runs_and_a_damaged_warehouse_go_by_age(settings):
    old = [
        aged(settings.home / "logs" / "old.log", 31),
        aged(settings.warehouse.parent / "damaged-20250101T000000-warehouse.duckdb", 31),
        aged(settings.reports / "runs" / "failed", 181),
        aged(settings.reports / "runs" / "run1", 181),
    ]
    kept = [
        aged(settings.home / "logs" / "new.log", 29),
        aged(settings.reports / "runs" / "recent", 179),
        # Of a release that is kept.
        aged(settings.reports / "runs" / "run6", 999),
        aged(settings.audit_trail.parent / "unfinished-1.txt", 9_999),
    ]
    retain(settings)
    assert [path for path in old if path.exists()] == []
    assert all(path.exists() for path in kept)


def test_without_the_role_nothing_ends_and_the_trail_has_it(settings):
    settings.own_roles.write_text("people: {somebody: {roles: [stakeholder]}}")
    with pytest.raises(ActRefused, match="role data engineer is required"):
        retain(settings)
    assert len(left(settings)) == 6
    assert [one.outcome for one in audit.entries(settings)][-1] == "refused"


def test_runs_stay_while_a_kept_release_cannot_be_read(settings):
    path = settings.published / "releases" / f"{release_id(5)}.duckdb"
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    os.utime(path, (5, 5))
    found = retain(settings)
    assert f"release {release_id(5)} cannot be read" in found["notes"][0]
    assert not [one for one in found["ended"] if one["part"] == "MLflow run"]


@dg.job
def refresh():
    pass


@dg.job
def train():
    pass


def test_runs_of_dagster_end_with_their_events_but_not_those_that_something_needs(settings):
    with dg.DagsterInstance.get() as instance:
        made = {}
        for name, job, tags, days in (
            ("old", refresh, {}, 400),
            ("asked first", refresh, {"dagster/schedule_name": "monthly_refresh"}, 390),
            ("asked last", refresh, {"dagster/schedule_name": "monthly_refresh"}, 380),
            ("last success", train, {}, 370),
            ("of a release", refresh, {}, 360),
            ("recent", refresh, {}, 10),
        ):
            done = job.execute_in_process(instance=instance, tags=tags)
            made[done.run_id] = (name, days)
        under_way = instance.create_run_for_job(refresh)
        made[under_way.run_id] = ("under way", 350)
    database = settings.dagster_home / "history" / "runs.db"
    with closing(sqlite3.connect(database)) as connection:
        for run_id, (_, days) in made.items():
            moment = datetime.fromtimestamp(time.time() - days * DAY, UTC).replace(tzinfo=None)
            connection.execute(
                "update runs set update_timestamp = ? where run_id = ?",
                [moment.isoformat(" "), run_id],
            )
        connection.commit()
    (of_release,) = (run_id for run_id, (name, _) in made.items() if name == "of a release")
    needed = retention._Needed(run_ids={of_release})
    for one in retention._dagster_runs(settings, needed):
        one.remove()
    with dg.DagsterInstance.get() as instance:
        kept = {run.run_id for run in instance.get_runs()}
    assert {name for run_id, (name, _) in made.items() if run_id not in kept} == {
        "old",
        "asked first",
    }
    gone = made.keys() - kept
    names = {path.name.split(".")[0] for path in settings.dagster_home.rglob("*")}
    assert not gone & names and list(retention._dagster_runs(settings, needed)) == []
    with closing(sqlite3.connect(database.parent / "runs" / "index.db")) as connection:
        marks = ", ".join("?" * len(gone))
        query = f"select count(*) from event_logs where run_id in ({marks})"
        assert connection.execute(query, list(gone)).fetchall() == [(0,)]


def test_runs_of_mlflow_end_unless_a_version_behind_them_is_needed(settings):
    from mlflow import MlflowClient

    from ml.audit import PROMOTIONS
    from ml.registry import Registry

    registry = Registry(settings.own_model_store, str(settings.mlflow_home / "artifacts"))
    client: MlflowClient = registry.client
    folders = {}

    def version(name: str, alias: str | None = None) -> str:
        run = client.create_run(experiment, run_name=name, start_time=1)
        client.log_text(run.info.run_id, name, "model.txt")
        client.set_terminated(run.info.run_id, end_time=2)
        folders[name] = settings.mlflow_home / "artifacts" / "response" / run.info.run_id
        made = client.create_model_version("response", run.info.artifact_uri, run.info.run_id)
        if alias:
            client.set_registered_model_alias("response", alias, made.version)
        return str(made.version)

    artifacts = settings.mlflow_home / "artifacts"
    experiment = client.create_experiment("response", artifact_location=f"{artifacts}/response")
    client.create_registered_model("response")
    first = version("champion before")
    registry.promote(registry.version("response", first), by="Ana", reason="the first champion")
    lost = version("lost")
    second = version("champion")
    registry.promote(registry.version("response", second), by="Ana", reason="a better champion")
    of_release = version("of a release")
    version("challenger", "challenger")
    failed = client.create_run(experiment, run_name="failed", start_time=1)
    client.set_terminated(failed.info.run_id, "FAILED")
    running = client.create_run(experiment, run_name="running", start_time=1)
    recent = client.create_run(experiment, run_name="recent")
    client.set_terminated(recent.info.run_id)
    promotions = client.get_experiment_by_name(PROMOTIONS).experiment_id
    records = len(client.search_runs([promotions]))

    needed = retention._Needed(versions={("response", of_release)})
    notes: list[str] = []
    ended = list(retention._mlflow_runs(settings, needed, notes))
    assert {one.name for one in ended} == {folders["lost"].name, failed.info.run_id}
    for one in ended:
        one.remove()
    assert notes == [] and list(retention._mlflow_runs(settings, needed, notes)) == []
    assert {name for name, folder in folders.items() if not folder.exists()} == {"lost"}
    kept = {run.info.run_id for run in client.search_runs([experiment], run_view_type=3)}
    assert kept == {
        *(folder.name for name, folder in folders.items() if name != "lost"),
        *(running.info.run_id, recent.info.run_id),
    }
    assert lost not in {one.version for one in registry.versions("response")}
    assert len(client.search_runs([promotions])) == records
    # The rollback that it must leave possible.
    assert registry.past_champions("response") == [first]
    assert (settings.mlflow_home / "artifacts" / "clv" / ARTIFACT).exists()


def test_the_job_of_dagster_does_the_same(settings):
    done = retain_job.execute_in_process(resources={"home": Home()}, raise_on_error=True)
    metadata = done.get_step_success_events()
    assert done.success and metadata
    assert left(settings) == [release_id(5), release_id(6)]
