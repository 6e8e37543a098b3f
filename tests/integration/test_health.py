"""Damage to a home: rebuilt if possible, otherwise reported with the file and the cure."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import duckdb
import pytest

from orchestration.cli import main
from orchestration.landing.health import cure_of, prepare_home
from orchestration.landing.months import STATE_FILE
from orchestration.landing.token_key import token_key
from orchestration.platform import environment, releases
from orchestration.platform.environment import HomeRefused
from orchestration.platform.files import write_whole
from orchestration.platform.releases import ReleaseDamaged
from orchestration.platform.settings import Settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    settings = Settings(home=tmp_path / "home")
    monkeypatch.setenv("JINGXI_HOME", str(settings.home))
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
    environment.prepare(settings)
    return settings


def fill(path: Path, rows: int = 200_000) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table numbers as select range as id from range({rows})")


def sqlite(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("create table some (id integer, words text)")
        connection.executemany(
            "insert into some values (?, ?)", [(n, "words" * 50) for n in range(2000)]
        )
    connection.close()
    return path


def overwrite(path: Path) -> None:
    path.write_bytes(b"nothing that a database would write" * 2000)


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def of_a_later_version(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # After the checksum and the four letters of the main header.
    content[12:20] = (9999).to_bytes(8, "little")
    path.write_bytes(content)


def test_a_sound_home_has_no_notes(settings):
    fill(settings.warehouse)
    sqlite(settings.mlflow_home / "mlflow.db")
    assert prepare_home(settings) == []
    assert settings.warehouse.exists()


@pytest.mark.parametrize("damage", [overwrite, cut_off, of_a_later_version])
def test_a_damaged_warehouse_is_rebuilt(settings, damage):
    fill(settings.warehouse)
    damage(settings.warehouse)
    (note,) = prepare_home(settings)
    assert str(settings.warehouse) in note and "is rebuilt" in note
    assert not settings.warehouse.exists()


def test_a_warehouse_whose_last_blocks_are_free_is_whole(settings):
    """DuckDB counts them, and the file ends before them."""
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("create table dropped as select range as id from range(10)")
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("drop table dropped")
    with duckdb.connect(str(settings.warehouse)) as connection:
        size, blocks = connection.execute(
            "select block_size, total_blocks from pragma_database_size()"
        ).fetchone()
    assert settings.warehouse.stat().st_size < size * blocks
    assert prepare_home(settings) == []
    assert settings.warehouse.exists()


def test_a_warehouse_that_held_identities_is_rebuilt(settings):
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("create schema protected")
    assert "personal data" in prepare_home(settings)[0]
    assert not settings.warehouse.exists()


@pytest.mark.parametrize("damage", [overwrite, cut_off])
@pytest.mark.parametrize(
    ("place", "cure"),
    [
        ("mlflow/mlflow.db", "trains every model again"),
        ("dagster/history/runs.db", "the list of runs in the UI then starts empty"),
        ("dagster/history/runs/index.db", "the list of runs in the UI then starts empty"),
        ("dagster/schedules/schedules.db", "the list of runs in the UI then starts empty"),
    ],
)
def test_a_damaged_store_is_named_with_its_cure_before_the_work_begins(
    settings, place, cure, damage
):
    path = sqlite(settings.home / place)
    damage(path)
    with pytest.raises(HomeRefused) as refusal:
        prepare_home(settings)
    assert str(path) in str(refusal.value) and cure in str(refusal.value)
    assert path.exists()


def test_models_without_their_store_are_not_taken_for_a_new_home(settings):
    (settings.mlflow_home / "artifacts" / "1").mkdir()
    with pytest.raises(HomeRefused, match=r"mlflow\.db is missing"):
        prepare_home(settings)


@pytest.mark.parametrize("size", [0, 7, 31])
def test_a_key_of_the_wrong_length_is_refused_and_never_replaced(settings, size):
    settings.token_key_file.parent.mkdir()
    settings.token_key_file.write_bytes(bytes(size))
    with pytest.raises(HomeRefused, match=f"has {size} bytes, expected 32"):
        prepare_home(settings)
    assert settings.token_key_file.read_bytes() == bytes(size)


def test_a_key_is_created_once_and_its_loss_is_reported(settings):
    key = token_key(settings)
    assert len(key) == 32 and token_key(settings) == key
    assert settings.token_key_file.stat().st_mode & 0o777 == 0o600
    write_whole(settings.landing / STATE_FILE, "{}")
    settings.token_key_file.unlink()
    with pytest.raises(HomeRefused, match="is missing"):
        token_key(settings)
    assert not settings.token_key_file.exists()


def released(settings: Settings, *names: str) -> list[Path]:
    paths = []
    for name in names:
        path = settings.published / "releases" / f"{name}.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute("create schema meta")
            connection.execute(f"create table meta.release as select '{name}' as release_id")
        paths.append(path)
        releases.point_at(settings, path)
    return paths


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [overwrite, remove])
def test_a_broken_release_is_named_and_an_older_one_can_be_served(settings, damage, capsys):
    first, _, third = released(settings, "first", "second", "third")
    damage(third)
    with pytest.raises(ReleaseDamaged) as refusal:
        prepare_home(settings)
    assert "make rollback" in str(refusal.value) and "first, second" in str(refusal.value)
    assert main(["summary"]) == 2
    assert "third.duckdb" in capsys.readouterr().err
    assert main(["rollback"]) == 0
    assert releases.served(settings).stem == "second"
    damage(first)
    assert main(["rollback", "first"]) == 2
    assert releases.served(settings).stem == "second"


def test_an_error_about_disk_space_or_damage_has_a_cure(settings):
    fill(settings.warehouse)
    for reason in (
        "IOException: IO Error: Could not write file: No space left on device",
        "OperationalError: (sqlite3.OperationalError) database or disk is full",
    ):
        assert "make room" in cure_of(reason, settings)
    assert settings.warehouse.exists()
    assert cure_of("IO Error: Corrupt database file: computed checksum 1", settings)
    assert not settings.warehouse.exists()
    assert cure_of("Binder Error: no column", settings) is None


@pytest.mark.parametrize("sign", ["#", "?", "%", "*", "[", "\\", "\n"])
def test_a_home_whose_name_a_component_misreads_is_refused_at_the_start(
    tmp_path, monkeypatch, capsys, sign
):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path / f"a{sign}b"))
    assert main(["summary"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("refused: HOME (JINGXI_HOME) is invalid: ") and repr(sign) in message
    assert list(tmp_path.iterdir()) == []


def test_a_home_with_a_name_too_long_is_refused_at_the_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path.joinpath(*["long" * 20] * 5)))
    assert main(["summary"]) == 2
    assert "expected at most 380" in capsys.readouterr().err


def test_an_existing_home_is_closed_to_others_and_foreign_files_stay(settings):
    old = settings.home / "landing" / "some.parquet"
    other = settings.home / "notes.txt"
    for path in (old, other):
        path.write_text("")
        path.chmod(0o644)
    settings.landing.chmod(0o755)
    settings.home.chmod(0o755)
    environment.prepare(settings)
    assert old.stat().st_mode & 0o777 == 0o600 and settings.landing.stat().st_mode & 0o077 == 0
    assert other.stat().st_mode & 0o777 == 0o644 and settings.home.stat().st_mode & 0o777 == 0o755
    other.unlink()
    environment.prepare(settings)
    assert settings.home.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small disk in memory; takes it away at the end."""
    places: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted by this account: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in places[::-1]:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_reported_before_the_work_begins(mounted, command):
    home = mounted("size=60m") / "home"
    result = command(home, "refresh", customers=100)
    assert result.returncode == 2, result.stderr
    assert "MB free: expected 200 MB or more" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_reported_and_can_be_read(mounted, command):
    disk = mounted("size=60m")
    home = disk / "home"
    settings = Settings(home=home)
    (settings.published / "releases").mkdir(parents=True)
    released(settings, "first")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    result = command(home, "refresh", customers=100)
    assert result.returncode == 2
    assert "cannot be written: Read-only file system" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    listed = command(home, "releases")
    assert (listed.returncode, listed.stdout) == (0, "first  (served)\n")


def test_a_home_with_the_former_event_log_is_updated_unless_edited(settings):
    configuration = settings.dagster_home / "dagster.yaml"
    written = configuration.read_text()
    # Without what was added since.
    begin = written.partition("# Whether the published assets")[0]
    pools = (
        "  # One step at a time, too, in the pool of those that write it.\n"
        "  pools:\n    default_limit: 1\n    granularity: op\n"
    )
    for added, instead in (
        (pools, ""),
        ("closed; its place in a pool is\n# freed.", "closed."),
        ("  free_slots_after_run_end_seconds: 60\n", ""),
    ):
        assert added in begin
        begin = begin.replace(added, instead)
    former = begin + (
        "# A batch of events in one transaction (docs/decisions/0004).\n"
        "event_log_storage:\n  module: orchestration.event_log\n  class: BatchedEventLog\n"
        "  config:\n    dagster_home:\n      env: DAGSTER_HOME\n"
    )
    configuration.write_text(former)
    environment.prepare(settings)
    assert configuration.read_text() == written
    configuration.write_text(f"# ours\n{former}")
    with pytest.raises(HomeRefused, match=r"dagster\.yaml is invalid.*Remove event_log_storage"):
        environment.prepare(settings)
    assert configuration.read_text() == f"# ours\n{former}"
