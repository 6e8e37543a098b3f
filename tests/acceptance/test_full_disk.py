"""A disk that is full at one stage after another, and a home on a disk that is read only.

The home lies on a small file system of its own, which needs an account that may mount one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.acceptance.conftest import KNOWN

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="mounts a file system (Linux, root)"
    ),
]

MEGABYTE = 1 << 20
# Free megabytes at the start: for the lock, landing, the base, the models, the release.
FREE = (0.25, 2, 8, 20, 45)
BANK = {
    "source": "files",
    "source_path": KNOWN / "delivery",
    "reference_path": KNOWN / "reference",
    "first_month": "2024-01",
    "as_of": "2025-12",
}


def mounted(place: Path, option: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", option, "none", str(place)], check=True)


def size_of(folder: Path) -> int:
    return sum(
        path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*")) if path.exists()
    )


@pytest.fixture
def disk(tmp_path: Path, known_bank: Path) -> Iterator[Path]:
    """A file system with a home that has published; its size is the test's to change."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted(place, "size=2g")
    try:
        shutil.copytree(known_bank, place / "home", symlinks=True)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def resized(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_full_disk_leaves_the_release_and_the_next_refresh_needs_no_person(
    disk: Path, command: Callable[..., CompletedProcess[str]]
) -> None:
    home = disk / "home"
    link = home / "published" / "current.duckdb"
    release, before = os.readlink(link), digest(link)
    for free in FREE:
        resized(disk, f"size={size_of(home) + int(free * MEGABYTE)}")
        failed = command(home, "refresh", **BANK)
        if failed.returncode == 0:
            # It had room enough.
            assert free == FREE[-1]
            release, before = os.readlink(link), digest(link)
            break
        assert failed.returncode in (1, 2), failed.stdout + failed.stderr
        message = (failed.stdout + failed.stderr).lower()
        assert "space" in message or "full" in message or "make room" in message, message
        assert (os.readlink(link), digest(link)) == (release, before), free
        assert list((home / "published" / "releases").glob(".*")) == []
    resized(disk, "size=2g")
    again = command(home, "refresh", **BANK)
    assert again.returncode == 0, again.stdout + again.stderr
    assert os.readlink(link) != release


def test_a_home_that_is_read_only_is_read_and_refuses_to_be_changed(
    disk: Path, command: Callable[..., CompletedProcess[str]]
) -> None:
    home = disk / "home"
    before = digest(home / "published" / "current.duckdb")
    resized(disk, "ro")
    try:
        for reading in (("summary",), ("releases",), ("audit",)):
            done = command(home, *reading)
            assert done.returncode == 0, done.stdout + done.stderr
        for changing in (
            ("refresh",),
            ("rollback",),
            ("erase", "--customer", "K01", "--reason", "x"),
        ):
            done = command(home, *changing, **(BANK if changing[0] == "refresh" else {}))
            assert done.returncode == 2, done.stdout + done.stderr
            assert "cannot be written" in done.stderr
    finally:
        resized(disk, "rw")
    assert digest(home / "published" / "current.duckdb") == before
