"""A small home with every part, made without a refresh."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import yaml

from orchestration.platform import audit, environment
from orchestration.platform.identity import EXPLAIN, PUBLISH, operating_system_user
from orchestration.platform.releases import point_at
from orchestration.platform.settings import Settings, read_settings

PAGE = "<html><body>A page.</body></html>\n"
ARTIFACT = "ab12" * 8


def release_id(number: int) -> str:
    return f"2025-{number:02d}-202601{number:02d}T000000-00a{number % 10}"


def make_home(home: Path, model_store: Path, releases: int = 3) -> Settings:
    """A home of some releases, the last of which is served, with one champion."""
    settings = read_settings(home=home)
    environment.prepare(settings)
    settings.token_key_file.parent.mkdir(mode=0o700)
    settings.token_key_file.write_bytes(b"t" * 32)
    shutil.copy(model_store, settings.mlflow_home / "mlflow.db")
    audit.record(settings, EXPLAIN, audit.account(settings, "A1"))
    for number in range(1, releases + 1):
        add_release(settings, number)
    _add_champion(settings)
    _add_landing(settings)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(
            "create schema base; create table base.customer as select hash(range) from range(50000)"
        )
    history = settings.dagster_home / "history"
    history.mkdir()
    with closing(sqlite3.connect(history / "index.db")) as connection:
        connection.execute("create table event as select 1 as id")
        connection.execute("create table more as select randomblob(20000) as content")
        connection.commit()
    settings.own_roles.write_text(
        yaml.safe_dump(
            {"people": {operating_system_user(): {"roles": ["data engineer", "auditor"]}}}
        )
    )
    (home / "logs" / "refresh.log").write_text("a line\n")
    environment.keep_private(settings)
    return settings


def add_release(settings: Settings, number: int) -> Path:
    """A release as `publish` leaves it, with its reports and export; it is served."""
    name = release_id(number)
    path = settings.published / "releases" / f"{name}.duckdb"
    rows = list(audit.entries(settings))
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema meta; create schema base")
        connection.execute(
            "create table base.customer as select range as customer_id, hash(range) as value "
            "from range(20000)"
        )
        connection.execute("create table meta.audit as select 1 as sequence")
        connection.execute(
            "create table meta.model_version as select 'clv' as model_name, ? as version",
            [str(number)],
        )
        connection.execute(
            "create table meta.release as select ? as release_id, ? as as_of, 'files' as source, "
            "timestamptz '2026-01-01 00:00:00+00' as created_at, ? as dagster_run_id, "
            "?::json as row_counts, ? as audit_lines, ? as audit_hash",
            [
                *(name, name[:7], f"run{number}"),
                json.dumps({"base.customer": 20_000, "meta.model_version": 1}),
                *((rows[-1].sequence, rows[-1].hash) if rows else (0, audit.START)),
            ],
        )
    path.chmod(0o400)
    os.utime(path, (number, number))
    audit.record(settings, PUBLISH, name, release_id=name)
    point_at(settings, path)
    reports, export = settings.reports / name, settings.exports / name
    for folder in (reports, export, settings.reports / "runs" / f"run{number}"):
        folder.mkdir(parents=True)
    (reports / "value.html").write_text(PAGE)
    (settings.reports / "runs" / f"run{number}" / "gates.html").write_text(PAGE)
    content = b"customer_id\nC1\n"
    (export / "worklist.csv").write_bytes(content)
    listed = {"worklist.csv": {"rows": 1, "sha256": hashlib.sha256(content).hexdigest()}}
    (export / "manifest.json").write_text(json.dumps({"release_id": name, "files": listed}))
    environment.keep_private(settings)
    return path


def _add_champion(settings: Settings) -> None:
    """A registered champion, as MLflow's tables hold it."""
    artifacts = settings.mlflow_home / "artifacts"
    model = artifacts / "clv" / "models" / "m-1" / "artifacts"
    run = artifacts / "clv" / ARTIFACT / "artifacts"
    (model / "data").mkdir(parents=True)
    run.mkdir(parents=True)
    (model / "data" / "model.skops").write_bytes(b"a model")
    (run / "evaluation_twin.skops").write_bytes(b"its twin")
    digests = {"model_sha256": b"a model", "twin_sha256": b"its twin"}
    tags = {name: hashlib.sha256(content).hexdigest() for name, content in digests.items()}
    with closing(sqlite3.connect(settings.mlflow_home / "mlflow.db")) as connection:
        for table, values in (
            (
                "experiments",
                {
                    "experiment_id": 99,
                    **{"name": "clv", "artifact_location": str(artifacts / "clv")},
                    **{"lifecycle_stage": "active", "creation_time": 1, "last_update_time": 1},
                },
            ),
            (
                "experiments",
                {
                    **{"experiment_id": 98, "name": "promotions"},
                    **{"artifact_location": str(artifacts / "promotions")},
                    **{"lifecycle_stage": "active", "creation_time": 1, "last_update_time": 1},
                },
            ),
            (
                "runs",
                {
                    **{
                        "run_uuid": ARTIFACT,
                        "name": "a",
                        "source_type": "LOCAL",
                        "status": "FINISHED",
                    },
                    **{"start_time": 1, "end_time": 2, "lifecycle_stage": "active"},
                    **{"artifact_uri": str(run), "experiment_id": 99, "user_id": "a"},
                },
            ),
            ("registered_models", {"name": "clv", "creation_time": 1}),
            (
                "model_versions",
                {
                    **{"name": "clv", "version": 3, "creation_time": 1, "run_id": ARTIFACT},
                    **{"source": "models:/m-1", "storage_location": str(model)},
                    **{"status": "READY", "current_stage": "None"},
                },
            ),
            (
                "registered_model_aliases",
                {"name": "clv", "alias": "champion", "version": 3},
            ),
            *(
                ("model_version_tags", {"name": "clv", "version": 3, "key": key, "value": value})
                for key, value in {**tags, "package": "pyfunc"}.items()
            ),
        ):
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            connection.execute(
                f"insert into {table} ({names}) values ({marks})", list(values.values())
            )
        connection.commit()


def _add_landing(settings: Settings) -> None:
    with duckdb.connect() as connection:
        for month in ("2025-01", "2025-02"):
            folder = settings.landing / "transaction" / f"month={month}"
            folder.mkdir(parents=True)
            connection.execute(
                f"copy (select range as id, hash(range) as value from range(5000)) "
                f"to '{folder / 'data.parquet'}' (format parquet, compression zstd)"
            )
    state = {"identity": "a bank", "first_month": "2025-01-01"}
    (settings.landing / "landed.json").write_text(json.dumps(state))


def contents(home: Path) -> dict[str, tuple[int, str]]:
    """Path → mode, and digest or target of every file, link and folder."""
    found = {}
    for path in sorted(home.rglob("*")):
        if path.is_symlink():
            content = os.readlink(path)
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(home))] = (path.lstat().st_mode, content)
    return found
