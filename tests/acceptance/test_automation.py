"""A delivery is dropped while the daemon runs: it is checked, refreshed once, and reported."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.operations.notices import CHECK
from orchestration.operations.sensors import CLEARED, DELIVERY, FAILED
from orchestration.operations.ui import workspace
from orchestration.platform import environment
from orchestration.platform.runs import REFRESH
from orchestration.platform.settings import Settings, read_settings
from tests.acceptance.conftest import KNOWN
from tests.conftest import PROJECT
from tests.sinks import Web, web

pytestmark = [pytest.mark.slow, pytest.mark.long]

START_SECONDS, RUN_SECONDS = 300, 1800
PROGRAMS = Path(sys.executable).parent
IN_ORDER = {dg.DagsterRunStatus.SUCCESS}


@pytest.fixture(scope="module")
def hook() -> Iterator[Web]:
    with web() as server:
        yield server


@pytest.fixture(scope="module")
def settings(tmp_path_factory, hook) -> Iterator[Settings]:
    place = tmp_path_factory.mktemp("automation")
    (place / "delivery").mkdir()
    named = {
        "HOME": place / "home",
        "SOURCE": "files",
        "SOURCE_PATH": place / "delivery",
        "REFERENCE_PATH": KNOWN / "reference",
        "FIRST_MONTH": "2024-01",
        "AS_OF": "2025-12",
        "NOTICE_WEBHOOK": hook.url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
            patch.setenv(name, "")
        for name, value in named.items():
            patch.setenv(f"JINGXI_{name}", str(value))
        settings = read_settings()
        environment.prepare(settings)
        yield settings


def variables(settings: Settings, hook: Web) -> dict[str, str]:
    """The process's own: another test's fixture may have taken the names out."""
    return {
        **os.environ,
        "DAGSTER_HOME": str(settings.dagster_home),
        "JINGXI_HOME": str(settings.home),
        "JINGXI_SOURCE": "files",
        "JINGXI_SOURCE_PATH": str(settings.source_path),
        "JINGXI_REFERENCE_PATH": str(settings.reference_path),
        "JINGXI_FIRST_MONTH": "2024-01",
        "JINGXI_AS_OF": "2025-12",
        "JINGXI_NOTICE_WEBHOOK": hook.url,
    }


@pytest.fixture(scope="module")
def daemon(settings, hook) -> Iterator[subprocess.Popen]:
    """The daemon, with the sensors of deliveries and notices switched on."""
    place, named = ("-w", str(workspace())), variables(settings, hook)
    for name in (DELIVERY, FAILED, CLEARED):
        subprocess.run(
            [PROGRAMS / "dagster", "sensor", "start", name, *place],
            cwd=PROJECT,
            env=named,
            check=True,
        )
    log = (settings.home / "logs" / "daemon.log").open("w")
    process = subprocess.Popen(
        [PROGRAMS / "dagster-daemon", "run", *place],
        cwd=PROJECT,
        env=named,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # With its code server, and a refresh that the last test leaves.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


def waited_for(look: Callable[[], bool], seconds: float, sought: str, settings: Settings) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        log = settings.home / "logs" / "daemon.log"
        assert time.monotonic() < deadline, f"not seen: {sought}\n{log.read_text()[-4000:]}"
        time.sleep(1)


def runs(settings: Settings, job: str) -> list[dg.DagsterRun]:
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        records = instance.get_run_records(dg.RunsFilter(job_name=job))
        return [record.dagster_run for record in records]


def looked_again(settings: Settings) -> None:
    """Wait until the sensor of deliveries has looked once more."""

    def looks() -> float:
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            states = instance.all_instigator_state()
            (own,) = (one for one in states if one.instigator_name == DELIVERY)
            return own.instigator_data.last_tick_timestamp or 0.0

    now = time.time()
    waited_for(lambda: looks() > now, START_SECONDS, "another look", settings)


def test_a_dropped_delivery_is_checked_refreshed_once_and_published(settings, daemon):
    shutil.copytree(KNOWN / "delivery", settings.source_path, dirs_exist_ok=True)
    (settings.source_path / "_COMPLETE").touch()
    current = settings.published / "current.duckdb"
    waited_for(
        lambda: {run.status for run in runs(settings, REFRESH)} >= IN_ORDER,
        RUN_SECONDS,
        "a refresh",
        settings,
    )
    with duckdb.connect(str(current), read_only=True) as release:
        (found,) = release.execute("select as_of, dagster_run_id from meta.release").fetchall()
    (refreshed,) = runs(settings, REFRESH)
    assert found == ("2025-12", refreshed.run_id)
    assert refreshed.tags["dagster/sensor_name"] == DELIVERY
    looked_again(settings)
    assert len(runs(settings, REFRESH)) == len(runs(settings, CHECK)) == 1


def test_a_refused_delivery_is_reported_and_the_next_good_one_clears_it(settings, daemon, hook):
    """After the release of the test before, which stays served."""
    before = (settings.published / "current.duckdb").resolve()
    product = settings.source_path / "product.csv"
    good = product.read_bytes()
    product.write_bytes(good.replace(b"product_id", b"wanda", 1))
    waited_for(lambda: bool(hook.bodies), RUN_SECONDS, "a notice", settings)
    (text,) = hook.texts
    assert "*jingxi: check_delivery failed*" in text and "product.csv, column product_id" in text
    assert f"served meanwhile: release {before.stem}, as of 2025-12" in text
    assert "wanda" not in text
    product.write_bytes(good)
    waited_for(lambda: len(hook.bodies) > 1, RUN_SECONDS, "the all-clear", settings)
    assert "*jingxi: check_delivery succeeded, all clear*" in hook.texts[1]
    assert (settings.published / "current.duckdb").resolve() == before
