"""A home as a whole: its state, its backup at another path, its faults and their cures."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orchestration import cli
from orchestration.home import backup, doctor, parts
from orchestration.home.backup import BackupRefused, back_up, restore
from orchestration.home.doctor import HEALED, OK, WRONG
from orchestration.home.status import read_status
from orchestration.platform import audit, releases
from orchestration.platform.identity import ROLLBACK
from orchestration.platform.settings import Settings, read_settings
from tests.conftest import once
from tests.homes import ARTIFACT, contents, make_home, release_id

Damage = Callable[[Settings], object]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory, model_store: Path) -> Path:
    def make(place: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
                patch.delenv(name, raising=False)
            make_home(place / "home", model_store)

    return once(tmp_path_factory, "small_home", make) / "home"


@pytest.fixture
def settings(original, tmp_path, monkeypatch) -> Settings:
    """A copy of the small home: the paths in its model store are still those of the original."""
    home = tmp_path / "home"
    shutil.copytree(original, home, symlinks=True)
    monkeypatch.setenv("JINGXI_HOME", str(home))
    # `prepare` sets them for its process.
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
    return read_settings()


def served_bytes(settings: Settings) -> str:
    return hashlib.sha256((settings.published / "current.duckdb").read_bytes()).hexdigest()


def main(arguments: list[str]) -> int:
    """A command as its own process would run it: `prepare` sets variables of its process."""
    os.environ["DAGSTER_HOME"] = os.environ["MLFLOW_TRACKING_URI"] = ""
    return cli.main(arguments)


def states(found: list[doctor.Finding]) -> dict[str, str]:
    """The parts that are not in order, with their states."""
    return {one.part: one.state for one in found if one.state != OK}


# Status


def test_status_shows_what_is_served_and_writes_nothing(settings, capsys):
    before = contents(settings.home)
    assert main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["served"]["release"] == release_id(3)
    assert found["served"]["is_fresh"] is False
    assert (found["releases"], found["mlflow_runs"], found["changing"]) == (3, 1, None)
    releases_size = sum(path.stat().st_size for path in releases.releases_of(settings))
    assert found["sizes"]["releases"] == releases_size
    assert sum(found["sizes"].values()) == sum(
        path.lstat().st_size
        for path in settings.home.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    assert main(["status"]) == 0
    assert release_id(3) in capsys.readouterr().out
    assert contents(settings.home) == before


def test_status_names_who_changes_the_home_and_what_waits(settings):
    (settings.published / "proposed").mkdir()
    waiting = settings.published / "proposed" / f"{release_id(4)}.duckdb"
    shutil.copy(settings.published / "releases" / f"{release_id(3)}.duckdb", waiting)
    with settings.lock.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("make refresh (process 1)")
        lock.flush()
        found = read_status(settings)
    assert found["changing"] == "make refresh (process 1)"
    assert found["waits_for_approval"]["release"] == release_id(4)
    assert read_status(settings)["changing"] is None


def test_status_says_since_when_a_release_is_served_again(settings):
    releases.roll_back(settings, None)
    (line,) = (one for one in audit.entries(settings) if one.act == ROLLBACK)
    found = read_status(settings)["served"]
    assert (found["release"], found["since"]) == (release_id(2), line.happened_at)


def test_status_of_a_release_that_cannot_be_read_ends_with_1(settings, capsys):
    (settings.published / "current.duckdb").resolve().unlink()
    assert main(["status"]) == 1
    assert "is missing" in capsys.readouterr().out


# Backup and restore


@pytest.fixture
def archive(settings, tmp_path) -> Path:
    path = tmp_path / "home.tar"
    back_up(settings, path, include_secrets=True)
    return path


def restored(archive: Path, home: Path) -> Settings:
    settings = read_settings(home=home)
    restore(settings, archive)
    return settings


def test_a_home_is_restored_at_another_path_while_its_release_is_read(settings, tmp_path):
    archive = tmp_path / "home.tar"
    program = f"""import duckdb
with duckdb.connect({str(settings.published / "current.duckdb")!r}, read_only=True) as reader:
    print("open", flush=True)
    input()
    print(reader.execute("select count(*) from base.customer").fetchall())"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout.readline() == "open\n"
        found = back_up(settings, archive, include_secrets=True)
        assert reader.communicate("\n")[0] == "[(20000,)]\n"
    assert archive.stat().st_mode & 0o777 == 0o600
    # A restore was killed there.
    (tmp_path / "moved" / "home" / ".restoring-1" / "landing").mkdir(parents=True)
    moved = restored(archive, tmp_path / "moved" / "home")
    assert [path.name for path in moved.home.glob(".restoring-*")] == []
    assert served_bytes(moved) == served_bytes(settings)
    names = [path.name for path in releases.releases_of(moved)]
    assert names == [path.name for path in releases.releases_of(settings)]
    trail = audit.examine(moved, releases.audit_heads(moved))
    assert trail.problem is None
    last = trail.entries[-1]
    assert (last.act, last.release_id) == ("restore", release_id(3))
    assert found["manifest_sha256"] in last.detail
    assert states(doctor.examine(moved)) == {}
    with closing(sqlite3.connect(moved.mlflow_home / "mlflow.db")) as connection:
        ((place,),) = connection.execute("select artifact_uri from runs").fetchall()
    assert Path(place) == moved.mlflow_home / "artifacts" / "clv" / ARTIFACT / "artifacts"
    # Built anew by the next refresh.
    assert not moved.warehouse.exists()


def test_a_backup_has_no_keys_unless_they_are_asked_for(settings, tmp_path, capsys):
    archive = tmp_path / "home.tar"
    assert main(["backup", str(archive)]) == 0
    assert "secrets/token.key" in capsys.readouterr().out
    with tarfile.open(archive) as members:
        assert not [name for name in members.getnames() if "key" in name]
    assert main(["restore", str(archive), str(tmp_path / "moved")]) == 0
    assert "copy audit/token.key" in capsys.readouterr().out
    moved = read_settings(home=tmp_path / "moved")
    found = {one.part: one.detail for one in doctor.examine(moved) if one.state != OK}
    assert found.keys() == {"secrets", "audit trail"}
    assert all("token.key is missing" in detail for detail in found.values())


def test_a_truncated_archive_is_refused_and_nothing_is_left(archive, tmp_path):
    whole = archive.read_bytes()
    for length in (0, 100, 10_240, len(whole) // 2, len(whole) - 20_480, len(whole) - 1):
        archive.write_bytes(whole[:length])
        with pytest.raises(BackupRefused, match=r"\(FROM\) is invalid: it is truncated, changed"):
            restored(archive, tmp_path / "moved" / "home")
        assert not (tmp_path / "moved" / "home").exists()


def test_a_changed_byte_is_refused_in_every_part_and_nothing_is_left(archive, tmp_path):
    with tarfile.open(archive) as members:
        places = {
            one.name.partition("/")[0]: one.offset_data + one.size // 2
            for one in members
            if one.size
        }
        places["the head of a member"] = members.getmembers()[3].offset + 5
    assert len(places) > 9
    home = tmp_path / "moved"
    home.mkdir()
    whole = archive.read_bytes()
    for name, place in places.items():
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BackupRefused):
            restored(archive, home)
        assert list(home.iterdir()) == [], name


@pytest.mark.parametrize(
    "member",
    [
        {"name": "../outside", "type": tarfile.REGTYPE},
        {"name": "/tmp/outside", "type": tarfile.REGTYPE},
        {"name": "landing/../../outside", "type": tarfile.REGTYPE},
        {"name": "landing", "type": tarfile.SYMTYPE, "linkname": "/etc"},
        {"name": "roles.yml", "type": tarfile.LNKTYPE, "linkname": "../../outside"},
        {"name": "audit/device", "type": tarfile.FIFOTYPE},
    ],
    ids=lambda member: f"{member['name']} {member['type']!r}",
)
def test_a_member_that_is_no_file_inside_the_home_is_refused(archive, tmp_path, member):
    with tarfile.open(archive) as members:
        kept = [(one, members.extractfile(one).read()) for one in members]
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as made:
        info = tarfile.TarInfo(member["name"])
        info.type, info.linkname = member["type"], member.get("linkname", "")
        made.addfile(info)
        for one, content in kept:
            made.addfile(one, io.BytesIO(content))
    home = tmp_path / "inner" / "home"
    with pytest.raises(BackupRefused, match="is no regular file inside a home"):
        restored(evil, home)
    assert not home.exists() and not (tmp_path / "inner" / "outside").exists()


def test_a_file_that_the_manifest_does_not_list_is_refused(archive, tmp_path):
    with tarfile.open(archive) as members:
        kept = [(one, members.extractfile(one).read()) for one in members]
    more = tmp_path / "more.tar"
    with tarfile.open(more, "w") as made:
        made.addfile(tarfile.TarInfo("reports/more.html"))
        for one, content in kept:
            made.addfile(one, io.BytesIO(content))
    with pytest.raises(BackupRefused, match="more.html is not what was backed up"):
        restored(more, tmp_path / "moved")


def test_a_home_that_is_not_empty_is_not_written(archive, tmp_path, settings):
    before = contents(settings.home)
    with pytest.raises(BackupRefused, match="is not empty"):
        restore(settings, archive)
    assert contents(settings.home) == before


@pytest.mark.parametrize("place", ["there", "home/inside.tar", "no folder/home.tar"])
def test_a_backup_is_a_new_file_outside_the_home(settings, tmp_path, place):
    (tmp_path / "there").write_text("somebody's")
    with pytest.raises(BackupRefused, match="TO is invalid"):
        back_up(settings, tmp_path / place)
    assert (tmp_path / "there").read_text() == "somebody's"


def test_a_failed_backup_leaves_nothing(settings, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_member", full)
    with pytest.raises(BackupRefused, match="No space left"):
        back_up(settings, tmp_path / "home.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert not list(settings.temporary.glob("backup-*"))
    assert [one.outcome for one in audit.entries(settings)][-1] == "refused"


def test_landed_files_are_those_of_one_delivery(settings, tmp_path, monkeypatch):
    """A refresh replaces the months while they are pinned: all of them are the new ones."""
    months = sorted(settings.landing.glob("*/*/data.parquet"))
    pin, replaced = backup._pin_file, []

    def pinned(settings: Settings, staging: Path, path: Path) -> list:
        found = list(pin(settings, staging, path))
        if path == months[0] and not replaced:
            for month in months:
                fresh = month.with_name("fresh")
                fresh.write_bytes(b"new")
                os.replace(fresh, month)
                replaced.append(month)
        return found

    monkeypatch.setattr(backup, "_pin_file", pinned)
    archive = tmp_path / "home.tar"
    back_up(settings, archive)
    with tarfile.open(archive) as members:
        landed = [one for one in members if one.name.endswith(".parquet")]
        assert [members.extractfile(one).read() for one in landed] == [b"new"] * 2
    assert len(replaced) == 2


# Doctor


def truncated(place: str) -> Damage:
    def damage(settings: Settings) -> None:
        path = settings.home / place
        path.chmod(0o600)
        os.truncate(path, path.stat().st_size // 2)

    return damage


def scrambled(place: str) -> Damage:
    """Random bytes over the second half, where no header is."""

    def damage(settings: Settings) -> None:
        path = settings.home / place
        path.chmod(0o600)
        content = path.read_bytes()
        half = len(content) // 2
        path.write_bytes(content[:half] + random.Random(7).randbytes(len(content) - half))

    return damage


def missing(place: str) -> Damage:
    def damage(settings: Settings) -> None:
        (settings.home / place).unlink()

    return damage


def written(place: str, content: str, mode: int = 0o600) -> Damage:
    def damage(settings: Settings) -> None:
        path = settings.home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)

    return damage


def dangling(settings: Settings) -> None:
    (settings.published / "current.duckdb").unlink()
    (settings.published / "current.duckdb").symlink_to("releases/gone.duckdb")


def left_behind(settings: Settings) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (settings.temporary / f"engine-{process.pid}").mkdir()
    (settings.published / ".current.duckdb.abc").symlink_to("releases/x")


OLDER = f"published/releases/{release_id(1)}.duckdb"
MONTH = "landing/transaction/month=2025-02/data.parquet"
MODEL = "mlflow/artifacts/clv/models/m-1/artifacts/data/model.skops"
CASES: list[tuple[str, Damage, str, bool]] = [
    *((f"release {make.__name__}", make(OLDER), "releases", False)
      for make in (truncated, scrambled)),
    ("link missing", missing("published/current.duckdb"), "link", True),
    ("link dangling", dangling, "link", True),
    *((f"landed month {make.__name__}", make(MONTH), "landing", False)
      for make in (truncated, scrambled)),
    ("landing's state missing", missing("landing/landed.json"), "landing", False),
    *((f"warehouse {make.__name__}", make("build/warehouse.duckdb"), "build warehouse", True)
      for make in (truncated, scrambled)),
    *((f"model store {make.__name__}", make("mlflow/mlflow.db"), "models", False)
      for make in (truncated, scrambled, missing)),
    *((f"champion {make.__name__}", make(MODEL), "models", False)
      for make in (truncated, scrambled, missing)),
    ("twin changed",
     written(f"mlflow/artifacts/clv/{ARTIFACT}/artifacts/evaluation_twin.skops", "another"),
     "models", False),
    ("run history scrambled", scrambled("dagster/history/index.db"), "Dagster storage", False),
    ("dagster.yaml missing", missing("dagster/dagster.yaml"), "dagster.yaml", True),
    ("dagster.yaml invalid", written("dagster/dagster.yaml", "a: [b"), "dagster.yaml", False),
    *((f"trail {make.__name__}", make("audit/audit.jsonl"), "audit trail", False)
      for make in (truncated, scrambled)),
    ("audit key truncated", truncated("audit/token.key"), "audit trail", False),
    *((f"key {make.__name__}", make("secrets/token.key"), "secrets", False)
      for make in (truncated, missing)),
    ("roles invalid", written("roles.yml", "people: {ana: {roles: [king]}}"), "roles", False),
    *((f"report {make.__name__}", make(f"reports/{release_id(3)}/value.html"), "reports", False)
      for make in (truncated, scrambled)),
    ("export changed", written(f"exports/{release_id(2)}/worklist.csv", "x"), "exports", False),
    ("modes", written("reports/open.html", "</html>", 0o644), "file modes", True),
    ("temporary files", left_behind, "temporary files", True),
]  # fmt: skip


def test_a_sound_home_is_in_order_and_looking_writes_nothing(settings, capsys):
    before = contents(settings.home)
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["part"] for one in found] == list(doctor.PARTS)
    assert {one["state"] for one in found} == {OK}
    assert contents(settings.home) == before


@pytest.mark.parametrize(
    ("damage", "part", "heals"),
    [
        pytest.param(
            *(damage, part, heals),
            id=name,
            # Every day one fault of each part.
            marks=[pytest.mark.slow] if part in {one[2] for one in CASES[:number]} else [],
        )
        for number, (name, damage, part, heals) in enumerate(CASES)
    ],
)
def test_a_damaged_part_is_named_or_healed_and_the_release_stays(settings, damage, part, heals):
    served = served_bytes(settings)
    damage(settings)
    before = contents(settings.home)
    found = doctor.examine(settings)
    assert states(found)[part] == WRONG
    (wrong,) = (one for one in found if one.part == part)
    assert wrong.detail and wrong.cure.endswith(".")
    assert contents(settings.home) == before
    if heals:
        assert states(doctor.examine(settings, heal=True))[part] == HEALED
        assert states(doctor.examine(settings)) == {}
    assert served_bytes(settings) == served


def test_a_broken_link_is_healed_to_the_release_that_was_served_last(settings):
    releases.roll_back(settings, release_id(1))
    (settings.published / "current.duckdb").unlink()
    assert states(doctor.examine(settings, heal=True)) == {"link": HEALED}
    assert releases.served(settings).stem == release_id(1)
    healed = [one for one in audit.entries(settings) if one.act in ("heal", ROLLBACK)]
    assert [one.act for one in healed[-2:]] == [ROLLBACK, "heal"]


def test_a_damaged_release_is_not_served_in_place_of_a_missing_one(settings):
    truncated(f"published/releases/{release_id(2)}.duckdb")(settings)
    missing(f"published/releases/{release_id(3)}.duckdb")(settings)
    found = states(doctor.examine(settings, heal=True))
    assert found == {"releases": WRONG, "link": HEALED}
    assert releases.served(settings).stem == release_id(1)


def test_a_damaged_served_release_is_left_to_a_person(settings, capsys):
    truncated(f"published/releases/{release_id(3)}.duckdb")(settings)
    link = os.readlink(settings.published / "current.duckdb")
    assert main(["doctor", "--heal"]) == 1
    assert "make rollback" in capsys.readouterr().out
    assert os.readlink(settings.published / "current.duckdb") == link


def test_nothing_is_healed_that_cannot_be_recorded(settings):
    scrambled("audit/audit.jsonl")(settings)
    missing("published/current.duckdb")(settings)
    found = states(doctor.examine(settings, heal=True))
    assert found == {"audit trail": WRONG, "link": WRONG}


def test_a_refresh_of_another_process_is_not_disturbed(settings, capsys):
    (settings.temporary / "engine-1").mkdir()
    with settings.lock.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["doctor", "--heal"]) == 2
        assert main(["retain"]) == 2
        assert states(doctor.examine(settings)) == {}
    assert capsys.readouterr().err.count("is changing") == 2


def test_temporary_files_of_a_process_that_works_are_no_leftovers(settings):
    (settings.temporary / f"engine-{os.getpid()}").mkdir()
    (settings.temporary / "tmp1234").mkdir()
    assert parts.leftovers(settings) == []
    os.utime(settings.temporary / "tmp1234", (1, 1))
    assert parts.leftovers(settings) == [settings.temporary / "tmp1234"]
