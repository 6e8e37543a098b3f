"""A home as its owner and other accounts of the machine meet it: private, and ended in one way."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from tests.acceptance.conftest import faulty_home
from tests.acceptance.deliveries import BANK, MISPLACED
from tests.conftest import PROJECT

pytestmark = pytest.mark.slow

# What a kill is tried at: from the first line to the scores, as far as the moment goes.
KILLS, WITHIN_SECONDS = 2, 40


@pytest.fixture(scope="module")
def delivery(faulty_bank) -> Path:
    return faulty_bank / "redelivered"


@pytest.fixture(scope="module")
def system(faulty_bank) -> Path:
    """The system's temporary folder, as the refresh sees it."""
    return faulty_bank / "system"


@pytest.fixture(scope="module")
def home(faulty_bank) -> Path:
    return faulty_home(faulty_bank)


def begun(home: Path, delivery: Path, system: Path, **more: str) -> subprocess.Popen:
    named = {
        "JINGXI_HOME": str(home),
        "JINGXI_SOURCE": "files",
        "JINGXI_SOURCE_PATH": str(delivery),
        "TMPDIR": str(system),
        **more,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration", "refresh"],
        cwd=PROJECT,
        env={**os.environ, **named},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Ignored in what a shell without job control runs in the background, tests too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def contents(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]


def test_no_file_of_a_home_is_open_to_other_accounts(home):
    places = [path for path in (home, *home.rglob("*")) if not path.is_symlink()]
    assert [path for path in places if path.stat().st_mode & 0o077] == []
    for release in (home / "published" / "releases").iterdir():
        assert release.stat().st_mode & 0o777 == 0o400


def test_no_file_of_a_home_holds_a_persons_identity(home, delivery):
    """The raw bytes of every file: tables, free blocks, logs, reports, events, models."""
    source = delivery / "customer" / "*.csv"
    with duckdb.connect() as connection:
        people = connection.execute(
            "select full_name, phone, email, national_id from read_csv(?, all_varchar = true, "
            "null_padding = true, ignore_errors = true)",
            [str(source)],
        ).fetchall()
    values = {value.encode() for row in people for value in row if value and len(value) > 6}
    assert len(values) > BANK["customers"]
    values.add(MISPLACED.encode())
    found = {}
    for path in contents(home):
        content = path.read_bytes()
        named = [value for value in values if value in content]
        if named:
            found[str(path.relative_to(home))] = named[:3]
    assert found == {}


def test_misplaced_values_are_tokens_in_quarantine_and_not_published(home):
    with duckdb.connect(str(home / "build" / "warehouse.duckdb"), read_only=True) as warehouse:
        found = warehouse.execute("select value from quarantine.customer").fetchall()
    assert found and all(len(value) == 16 or " " in value for (value,) in found)
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as release:
        assert (
            release.execute(
                "select 1 from duckdb_tables() "
                "where schema_name = 'quarantine' and table_name = 'customer'"
            ).fetchall()
            == []
        )


def test_the_systems_temporary_folder_is_not_used(home, system):
    assert list(system.iterdir()) == []
    assert not (home / "tmp" / "refresh").exists()


def living(mark: str) -> list[str]:
    """Command lines of the processes with this mark in their environment: children inherit it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return found


def runs(home: Path) -> dict[str, int]:
    with closing(sqlite3.connect(home / "dagster" / "history" / "runs.db")) as connection:
        return dict(connection.execute("select status, count(*) from runs group by status"))


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_signal_at_any_moment_ends_a_refresh_with_all_its_processes(home, delivery, system):
    link = os.readlink(home / "published" / "current.duckdb")
    rng = random.Random(4)
    for number in range(KILLS):
        mark = uuid.uuid4().hex
        process = begun(home, delivery, system, MARK=mark)
        which = (signal.SIGTERM, signal.SIGINT)[number % 2]
        assert process.stdout.readline().startswith("jingxi refresh")
        # The moment is what is tried, not a state that could be waited for.
        time.sleep(rng.uniform(0, WITHIN_SECONDS))
        process.send_signal(which)
        output, _ = process.communicate(timeout=120)
        assert living(mark) == []
        assert process.returncode == 128 + which, output
        assert f"stopped by {which.name}" in output and "Still served" in output
    assert os.readlink(home / "published" / "current.duckdb") == link
    assert runs(home).keys() <= {"SUCCESS", "CANCELED"}
    assert list(system.iterdir()) == []
    # Killed itself, the watcher takes all along.
    mark = uuid.uuid4().hex
    process = begun(home, delivery, system, MARK=mark)
    for line in process.stdout:
        if "gate G1" in line:
            break
    while not any("\0build\0" in command for command in living(mark)):
        assert process.poll() is None, "the refresh ended before dbt began"
        time.sleep(0.1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while living(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert living(mark) == []
