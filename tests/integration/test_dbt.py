"""The dbt project of a home: parsed once, bounded by the home's settings, failures named."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.engine import empty_landing
from orchestration.platform import dbt
from orchestration.platform.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with an empty landing, whose project is parsed."""
    settings = Settings(home=tmp_path_factory.mktemp("it's") / "home")
    settings.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        empty_landing(connection)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_WAREHOUSE", str(settings.warehouse))
        dbt.manifest_of(settings)
    return settings


def built(home: Settings, **limits: str) -> subprocess.CompletedProcess[str]:
    """dbt as a refresh runs it in a home, on the smallest of its models."""
    target = str(dbt.target_path(home) / dbt.RUN)
    named = {
        "DBT_WAREHOUSE": str(home.warehouse),
        "DBT_TARGET_PATH": target,
        "DBT_LOG_PATH": target,
        "DBT_PROJECT_DIR": str(dbt.DBT_PROJECT),
        "DBT_PROFILES_DIR": str(dbt.DBT_PROJECT),
        **limits,
    }
    return subprocess.run(
        [dbt.DBT_PROGRAM, "--log-level", "debug", "build", "--select", "stg_refresh_window"],
        env={**os.environ, **named},
        capture_output=True,
        text=True,
    )


def test_a_parsed_project_is_reused_under_other_limits(home: Settings) -> None:
    before = dbt.manifest_of(home).stat().st_mtime_ns
    assert dbt.manifest_of(home).stat().st_mtime_ns == before
    spill = home.scratch / "dbt"
    for memory, months in (("900MB", "7"), ("1500MB", "3")):
        found = built(
            home,
            DBT_MEMORY_LIMIT=memory,
            DBT_DUCKDB_THREADS="1",
            DBT_TEMP_DIRECTORY=str(spill),
            DBT_MONTHS_AT_ONCE=months,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        assert "no changes found, skipping parsing" in found.stdout
        assert f"set memory_limit = '{memory}'" in found.stdout
        assert f"set temp_directory = '{str(spill).replace(chr(39), chr(39) * 2)}'" in found.stdout


def test_the_engine_keeps_to_the_memory_limit(home: Settings) -> None:
    found = built(home, DBT_MEMORY_LIMIT="20KB")
    assert found.returncode == 1
    assert "Out of Memory Error" in found.stdout


def test_a_truncated_manifest_is_rebuilt(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kill, or a disk that is full, leaves it."""
    monkeypatch.setenv("DBT_WAREHOUSE", str(home.warehouse))
    manifest = dbt.manifest_of(home)
    whole = manifest.read_bytes()
    digest = dbt.project_digest(home)
    for damaged in (b"", whole[:-2] + b"]}", whole[: len(whole) // 2]):
        manifest.write_bytes(damaged)
        assert not dbt._is_fresh(manifest.parent, digest)
    found = json.loads(dbt.manifest_of(home).read_text())
    assert found["nodes"].keys() == json.loads(whole)["nodes"].keys()
    assert dbt._is_fresh(manifest.parent, digest)
    assert not list(home.temporary.glob("parsing-*"))


def test_a_truncated_parsed_project_is_parsed_again(home: Settings) -> None:
    """dbt writes it in place."""
    parsed = dbt.target_path(home) / dbt.RUN / dbt.PARTIAL_PARSE
    parsed.write_bytes(parsed.read_bytes()[:1000])
    for skipped in (False, True):
        found = built(home)
        assert found.returncode == 0, found.stdout + found.stderr
        assert ("no changes found, skipping parsing" in found.stdout) == skipped


def test_a_project_that_does_not_parse_is_reported_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        (project / name).write_text((dbt.DBT_PROJECT / name).read_text())
    (project / "models" / "broken.sql").write_text("select {{ no_such_macro( }}")
    monkeypatch.setenv("DBT_WAREHOUSE", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setattr(dbt, "DBT_PROJECT", project)
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(RuntimeError, match="(?s)dbt parse failed.*broken.sql.*run make install"):
        dbt.manifest_of(settings)
    assert not list(settings.temporary.glob("parsing-*"))
