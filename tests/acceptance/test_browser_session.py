"""One session of a data engineer in a real browser, from the first delivery to a rollback.

The steps are tests in their order, on one home, one `make ui` and one window.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.operations.sensors import CLEARED, DELIVERY, FAILED
from orchestration.release.jobs import APPROVE, APPROVE_OP, ROLL_BACK, ROLL_BACK_OP
from tests.acceptance.conftest import KNOWN
from tests.browser import Browser, browser, browser_missing
from tests.conftest import PROJECT
from tests.ports import free_ports
from tests.sinks import Web, web

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(bool(browser_missing()), reason=browser_missing()),
]

LOAD_SECONDS, RUN_SECONDS = 300, 1800
COMPLETE = "_COMPLETE"


class Session:
    """The home, the folder of its deliveries, the receiver of notices and the window."""

    def __init__(self, place: Path, hook: Web, port: int, page: Browser) -> None:
        self.home, self.delivery, self.hook, self.page = (
            *(place / "home", place / "delivery"),
            *(hook, page),
        )
        self.base = f"http://127.0.0.1:{port}"

    def deliver(self, change: Callable[[Path], object] = lambda delivery: None) -> None:
        (self.delivery / COMPLETE).unlink(missing_ok=True)
        shutil.copytree(KNOWN / "delivery", self.delivery, dirs_exist_ok=True)
        change(self.delivery)
        (self.delivery / COMPLETE).touch()

    def launch(self, job: str, config: str) -> None:
        """Launch a job in the launchpad, and see it succeed on the run's page."""
        self.page.open(f"{self.base}/locations/jingxi/jobs/{job}/playground")
        self.page.wait_for(["Launch Run", "Scaffold missing config"])
        self.page.run(
            "document.querySelector('.CodeMirror').CodeMirror.setValue(arguments[0])", config
        )
        self.page.click("button", "Launch Run")
        self.page.wait_for([job, "Success"], seconds=300)

    @property
    def served(self) -> str | None:
        link = self.home / "published" / "current.duckdb"
        return link.resolve().stem if link.exists() else None

    @property
    def waiting(self) -> list[str]:
        return [path.stem for path in (self.home / "published" / "proposed").glob("*.duckdb")]

    def wait_for(self, look: Callable[[], object], sought: str) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        while not look():
            assert time.monotonic() < deadline, f"not seen: {sought}\n{self.page.text()}"
            time.sleep(1)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    place, port = tmp_path_factory.mktemp("session"), free_ports(3)
    (place / "delivery").mkdir()
    with web() as hook:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", "ui", "--port", str(port)],
            cwd=PROJECT,
            env={
                **os.environ,
                **{"JINGXI_HOME": str(place / "home"), "JINGXI_SOURCE": "files"},
                **{"JINGXI_SOURCE_PATH": str(place / "delivery"), "JINGXI_RELEASE": "approval"},
                **{"JINGXI_REFERENCE_PATH": str(KNOWN / "reference")},
                **{"JINGXI_FIRST_MONTH": "2024-01", "JINGXI_AS_OF": "2025-12"},
                **{"JINGXI_NOTICE_WEBHOOK": hook.url, "JINGXI_UI_URL": f"http://127.0.0.1:{port}"},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output = []
            for line in process.stdout or ():
                output.append(line)
                if "stop with Ctrl-C" in line:
                    break
            assert any("loaded: " in line for line in output), "".join(output)
            with browser(place, 1600, 1100) as page:
                yield Session(place, hook, port, page)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)


def test_sensors_are_switched_on(session: Session) -> None:
    for name in (DELIVERY, FAILED, CLEARED):
        session.page.open(f"{session.base}/locations/jingxi/sensors/{name}")
        session.page.wait_for([name, "Running", "Stopped"], least=2)
        session.page.click("input[type=checkbox]")
        session.page.wait_for([name, "Running"])


def test_a_dropped_delivery_is_checked_and_refreshed_and_its_release_waits(
    session: Session,
) -> None:
    session.deliver()
    session.page.open(f"{session.base}/runs")
    session.page.wait_for(["check_delivery"], seconds=RUN_SECONDS)
    session.wait_for(lambda: session.waiting, "a release that waits")
    assert session.served is None
    session.page.open(f"{session.base}/runs")
    session.page.wait_for(["refresh", "Success"], seconds=300)


def test_the_release_is_approved_in_the_launchpad(session: Session) -> None:
    (waiting,) = session.waiting
    words = "{approver: anna, reason: the figures agree with the ledger}"
    session.launch(APPROVE, f"ops: {{{APPROVE_OP}: {{config: {words}}}}}")
    assert (session.served, session.waiting) == (waiting, [])


def test_a_delivery_that_a_gate_stops_is_seen_and_reported(session: Session) -> None:
    before = session.served

    def unknown_kinds(delivery: Path) -> None:
        for path in sorted(delivery.rglob("*transaction*.csv")):
            header, *rows = path.read_text().splitlines()
            at = header.split(",").index("kind")
            spoilt = [row.split(",") for row in rows]
            for row in spoilt[::2]:
                row[at] = "mystery"
            path.write_text("\n".join([header, *map(",".join, spoilt)]) + "\n")

    session.deliver(unknown_kinds)
    session.wait_for(lambda: session.hook.texts, "a notice")
    (text,) = session.hook.texts
    assert "*jingxi: check_delivery failed*" in text and "G1" in text, text
    assert f"served meanwhile: release {before}" in text
    assert f"{session.base}/runs/" in text
    session.page.open(f"{session.base}/runs")
    session.page.wait_for(["check_delivery", "Failure"])
    assert (session.served, session.waiting) == (before, [])


def test_the_corrected_delivery_clears_it_and_its_release_is_approved(session: Session) -> None:
    before = session.served
    session.deliver()
    session.wait_for(lambda: session.waiting, "a release that waits")
    session.wait_for(lambda: len(session.hook.texts) > 1, "the all-clear")
    assert "all clear" in session.hook.texts[1]
    words = "{approver: anna, reason: the delivery was corrected}"
    session.launch(APPROVE, f"ops: {{{APPROVE_OP}: {{config: {words}}}}}")
    assert session.served != before


def test_the_release_before_is_served_again(session: Session) -> None:
    before = session.served
    session.launch(ROLL_BACK, f"ops: {{{ROLL_BACK_OP}: {{config: {{release_id: ''}}}}}}")
    assert session.served not in (None, before)
