"""The dbt server of a refresh: commands run as by dbt itself, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import duckdb
import pytest

from orchestration import dbt
from orchestration.landing.engine import empty_landing
from orchestration.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    # Longer than the path of a socket may be.
    return Settings(home=tmp_path_factory.mktemp("home") / ("long" * 25))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_WAREHOUSE", str(settings.home / "warehouse.duckdb"))
        patch.delenv("DBT_SERVER", raising=False)
        dbt.start_server(settings)
        yield os.environ["DBT_SERVER"]
        dbt.stop_server()


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        empty_landing(connection)
    return path


def command(
    settings: Settings, warehouse: Path, *arguments: str, server: str | None
) -> subprocess.CompletedProcess[str]:
    folder = warehouse.parent / ("server" if server else "alone")
    named = {
        "DBT_WAREHOUSE": str(warehouse),
        "DBT_TARGET_PATH": str(folder),
        "DBT_LOG_PATH": str(folder),
        "DBT_PROJECT_DIR": str(dbt.DBT_PROJECT),
        "DBT_PROFILES_DIR": str(dbt.DBT_PROJECT),
        **({"DBT_SERVER": server} if server else {}),
    }
    kept = {name: value for name, value in os.environ.items() if name != "DBT_SERVER"}
    launcher = dbt.dbt_resource(settings).dbt_executable
    return subprocess.run(
        [launcher, "--no-use-colors", *arguments],
        env={**kept, **named},
        capture_output=True,
        text=True,
    )


def outcomes(text: str) -> list[str]:
    """What was done, in order of names: times and places in the queue differ."""
    words = ("OK created", "OK loaded", "PASS", "FAIL", "SKIP")
    return sorted(
        line.split("of", 1)[1].split("[")[0].strip(" .").split(" ", 1)[1]
        for line in text.splitlines()
        if any(f" {word}" in line for word in words) and " of " in line
    )


def test_the_manifest_is_there_once_it_has_started(settings: Settings, server: str) -> None:
    assert (dbt.target_path(settings) / "manifest.json").exists()
    before = (dbt.target_path(settings) / "manifest.json").stat().st_mtime_ns
    assert dbt.manifest_of(settings).stat().st_mtime_ns == before


def test_a_command_does_what_it_does_without_a_server(
    settings: Settings, server: str, warehouse: Path
) -> None:
    select = ("build", "--exclude-resource-type", "unit_test", "--select")
    layer = (*select, "tag:staging", "base_refresh_window", "base_account_history")
    shared = command(settings, warehouse, *layer, server=server)
    alone = command(settings, warehouse, *layer, server=None)
    assert (shared.returncode, alone.returncode) == (0, 0), shared.stdout + shared.stderr
    assert outcomes(shared.stdout) == outcomes(alone.stdout)
    assert len(outcomes(shared.stdout)) > 20
    assert (warehouse.parent / "server" / "run_results.json").exists()
    # One child's work is nothing to the next: the same again, in another warehouse.
    again = command(settings, warehouse, *layer, server=server)
    assert outcomes(again.stdout) == outcomes(shared.stdout)


def test_a_failure_has_dbts_own_exit_status(
    settings: Settings, server: str, warehouse: Path
) -> None:
    assert command(settings, warehouse, "build", "--no-such", server=server).returncode == 2
    # Nothing was built that it could read.
    failed = command(settings, warehouse, "run", "--select", "value_mover", server=server)
    alone = command(settings, warehouse, "run", "--select", "value_mover", server=None)
    assert failed.returncode == alone.returncode == 1
    assert "does not exist" in failed.stdout


def test_the_version_is_told_without_starting_dbt(settings: Settings) -> None:
    launcher = dbt.dbt_resource(settings).dbt_executable
    told = subprocess.run([launcher, "--version"], capture_output=True, text=True)
    assert metadata.version("dbt-core") in told.stdout


def test_a_client_that_is_ended_ends_its_command(
    settings: Settings, server: str, warehouse: Path
) -> None:
    launcher = dbt.dbt_resource(settings).dbt_executable
    named = {"DBT_WAREHOUSE": str(warehouse), "DBT_SERVER": server}
    process = subprocess.Popen(
        [
            *(launcher, "build", "--exclude-resource-type", "unit_test"),
            *("--project-dir", str(dbt.DBT_PROJECT), "--profiles-dir", str(dbt.DBT_PROJECT)),
            *("--target-path", str(warehouse.parent), "--log-path", str(warehouse.parent)),
        ],
        env={**os.environ, **named},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "START" in line:
            break
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == signal.SIGTERM
    assert "Completed successfully" not in output


def test_what_a_killed_server_left_is_taken_away(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    note = tmp_path / "note"
    first = dbt._socket_path(note)
    first.touch()
    other = tmp_path / "other"
    other.mkdir()
    second = dbt._socket_path(note)
    assert not first.parent.exists() and second.parent.exists() and other.exists()
    # Nothing but its own folders.
    note.write_text(str(other / "dbt"))
    dbt._socket_path(note)
    assert other.exists()


def test_it_ends_with_the_refresh_and_takes_its_socket_along(tmp_path: Path) -> None:
    """However the refresh ends: here it is killed."""
    program = (
        "import os, sys, time\n"
        "from orchestration import dbt\n"
        "from orchestration.settings import Settings\n"
        "dbt.start_server(Settings(home=sys.argv[1]))\n"
        "print(os.environ['DBT_SERVER'], flush=True)\n"
        "time.sleep(600)\n"
    )
    refresh = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "DBT_WAREHOUSE": str(tmp_path / "warehouse.duckdb")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert refresh.stdout is not None
    socket = Path(refresh.stdout.readline().strip())
    assert socket.exists() and socket.parent.stat().st_mode & 0o777 == 0o700
    refresh.kill()
    refresh.wait()
    deadline = time.monotonic() + 30
    while socket.parent.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not socket.parent.exists()
