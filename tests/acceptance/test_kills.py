"""A refresh is killed at random moments, again and again in one home.

`TEST_KILLS=100` kills the whole tree a hundred times and each of the others a fifth as often; the
default tries each once.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import time
import uuid
from pathlib import Path

import duckdb
import pytest

from tests.acceptance.conftest import faulty_home
from tests.acceptance.test_homes import begun, living

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

KILLS = int(os.environ.get("TEST_KILLS", "1"))
WAYS = {"tree": KILLS, "one": max(1, KILLS // 5), "term": max(1, KILLS // 5)}
WAYS["int"] = WAYS["term"]
# Beyond the seconds of a refresh: some are killed after they published.
LONGEST = float(os.environ.get("TEST_KILL_SECONDS", "150"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def processes(mark: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def kill(way: str, process, mark: str, rng: random.Random) -> None:
    if way == "tree":
        for one in processes(mark):
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue
    elif way == "one":
        at_hand = processes(mark)
        if at_hand:
            try:
                os.kill(rng.choice(at_hand), signal.SIGKILL)
            except ProcessLookupError:
                return
    else:
        process.send_signal({"term": signal.SIGTERM, "int": signal.SIGINT}[way])


def wait_for_the_end(mark: str, seconds: float = 60) -> list[str]:
    deadline = time.monotonic() + seconds
    while living(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    return living(mark)


def test_the_served_release_is_the_old_or_the_new_and_the_next_refresh_needs_no_person(
    faulty_bank, tmp_path
):
    home = tmp_path / "home"
    shutil.copytree(faulty_home(faulty_bank), home, symlinks=True)
    delivery, system = faulty_bank / "redelivered", faulty_bank / "system"
    link = home / "published" / "current.duckdb"
    rng = random.Random(int(os.environ.get("TEST_KILL_SEED", "8")))
    ways = [way for way, times in WAYS.items() for _ in range(times)]
    rng.shuffle(ways)
    for number, way in enumerate(ways, start=1):
        known = {path.name: digest(path) for path in (home / "published" / "releases").iterdir()}
        served = link.resolve().name
        mark = uuid.uuid4().hex
        process = begun(home, delivery, system, MARK=mark)
        moment = rng.uniform(0, LONGEST)
        # The moment is what is tried, not a state that could be waited for.
        try:
            process.communicate(timeout=moment)
        except Exception:
            kill(way, process, mark, rng)
            if way == "one":
                # The others may finish the refresh, or end by themselves.
                process.communicate(timeout=600)
            else:
                process.communicate(timeout=120)
        assert wait_for_the_end(mark) == [], (number, way, moment)
        now = link.resolve()
        whole = [
            path
            for path in (home / "published" / "releases").iterdir()
            if not path.name.startswith(".")
        ]
        # What was published before is as it was, byte for byte.
        for path in whole:
            assert known.get(path.name, digest(path)) == digest(path), (number, way, moment)
        assert now.name == served or now.name not in known, (number, way, moment)
        with duckdb.connect(str(now), read_only=True) as connection:
            ((release_id,),) = connection.execute("select release_id from meta.release").fetchall()
        assert release_id == now.stem
    before = link.resolve()
    mark = uuid.uuid4().hex
    process = begun(home, delivery, system, MARK=mark)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    assert link.resolve() != before
    assert wait_for_the_end(mark) == []
