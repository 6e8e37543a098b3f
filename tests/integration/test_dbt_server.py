"""The dbt server of a refresh: commands run as by dbt itself, and nothing is left behind."""

from __future__ import annotations

import json
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

from orchestration.landing.engine import empty_landing
from orchestration.platform import dbt
from orchestration.platform.settings import Settings

pytestmark = pytest.mark.slow


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
    endless = "select sum(a + b) as total from range(1000000000000) as x(a), range(1000000) as y(b)"
    process = subprocess.Popen(
        [
            *(launcher, "show", "--inline", endless),
            *("--project-dir", str(dbt.DBT_PROJECT), "--profiles-dir", str(dbt.DBT_PROJECT)),
            *("--target-path", str(warehouse.parent), "--log-path", str(warehouse.parent)),
        ],
        env={**os.environ, **named},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Concurrency" in line:
            break
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == signal.SIGTERM
    assert "total" not in output


def test_a_manifest_that_was_cut_off_is_parsed_anew(settings: Settings, server: str) -> None:
    """As a kill within dbt's own writing leaves it."""
    manifest = dbt.manifest_of(settings)
    whole = manifest.read_bytes()
    digest = dbt.project_digest(settings)
    for damaged in (b"", whole[:-2] + b"]}", whole[: len(whole) // 2]):
        manifest.write_bytes(damaged)
        assert not dbt._is_fresh(manifest.parent, digest)
    found = json.loads(dbt.manifest_of(settings).read_text())
    assert found["nodes"].keys() == json.loads(whole)["nodes"].keys()
    assert dbt._is_fresh(manifest.parent, digest)


def test_it_ends_with_its_command_and_its_socket_when_the_refresh_is_killed(
    tmp_path: Path, warehouse: Path
) -> None:
    """The server, the client and the child that builds: none of them is left."""
    program = (
        "import os, subprocess, sys\n"
        "from orchestration.platform import dbt\n"
        "from orchestration.platform.settings import Settings\n"
        "settings = Settings(home=sys.argv[1])\n"
        "dbt.start_server(settings)\n"
        "launcher = dbt.dbt_resource(settings).dbt_executable\n"
        "print(dbt._servers[0].pid, os.environ['DBT_SERVER'], flush=True)\n"
        "places = ['--project-dir', str(dbt.DBT_PROJECT), '--profiles-dir', str(dbt.DBT_PROJECT),\n"
        "    '--target-path', sys.argv[1], '--log-path', sys.argv[1]]\n"
        "subprocess.run([launcher, 'build', '--exclude-resource-type', 'unit_test', *places])\n"
    )
    refresh = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "home")],
        env={**os.environ, "DBT_WAREHOUSE": str(warehouse)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert refresh.stdout is not None
    server, socket = refresh.stdout.readline().split(maxsplit=1)
    place = Path(socket.strip()).parent
    assert place.is_relative_to(tmp_path) and place.stat().st_mode & 0o777 == 0o700
    for line in refresh.stdout:
        if "START" in line:
            break
    building = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    assert building
    refresh.kill()
    refresh.wait()
    deadline = time.monotonic() + 30
    left = [*(Path(f"/proc/{number}") for number in (server, *building)), place]
    while any(one.exists() for one in left) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [one for one in left if one.exists()]
