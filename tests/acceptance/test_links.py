"""Dagster, the portal and MLflow lead to each other: followed in a real browser, from `make ui`.

`PICTURES=1 pytest tests/acceptance/test_links.py` takes the pictures of docs/lineage.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.conftest import SMALL_BANK
from tests.browser import Browser, browser, browser_missing
from tests.conftest import PROJECT
from tests.ports import free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser_missing()), reason=browser_missing()),
]

IMAGES = PROJECT / "docs" / "images"
MOST_CLICKS, LARGEST_PICTURE = 5, 150_000
LINKS = "return [...document.querySelectorAll(arguments[0])].map(one => one.href)"
SHOW = "arguments[0].scrollIntoView({block: 'center'})"
FIND = """
return [...document.querySelectorAll(arguments[0])].find(
  one => one.innerText.includes(arguments[1]) && one.offsetParent)
"""


@dataclass
class Walk:
    """A reader's window, the ports of `make ui`, and the clicks so far."""

    page: Browser
    home: Path
    port: int
    clicks: list[str] = field(default_factory=list)

    def at(self, door: int, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port + door}/{path}"

    def click(self, css: str, words: str, *, in_new_window: bool = False) -> None:
        self.page.click(css, words)
        self.clicks.append(words)
        if in_new_window:
            self.page.take_newest_window()

    def picture(self, name: str, css: str, words: str) -> None:
        """Take a picture of the page with the words in its middle."""
        self.page.run(SHOW, self.page.run(FIND, css, words))
        if os.environ.get("PICTURES"):
            path = IMAGES / f"{name}.png"
            self.page.screenshot(path)
            assert path.stat().st_size < LARGEST_PICTURE


@pytest.fixture(scope="module")
def walk(small_bank: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    place, port = tmp_path_factory.mktemp("links"), free_ports(3)
    home = place / "home"
    shutil.copytree(small_bank / "home", home, symlinks=True)
    kept = {name: text for name, text in os.environ.items() if not name.startswith("JINGXI_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration", "ui", "--port", str(port)],
        cwd=PROJECT,
        env={
            **{name: text for name, text in kept.items() if name != "DAGSTER_HOME"},
            **{"JINGXI_HOME": str(home), "JINGXI_CUSTOMERS": str(SMALL_BANK["customers"])},
            "JINGXI_SEED": str(SMALL_BANK["seed"]),
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
        with browser(place, 1280, 900) as page:
            yield Walk(page, home, port)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def test_a_score_leads_to_the_hash_of_a_source_file_in_four_clicks(walk: Walk) -> None:
    walk.page.open(walk.at(2, "current/customers.html"))
    walk.page.wait_for(["Customer base", "Behind this page"])
    walk.picture("lineage-1-score", "footer a", "scores/customer")
    walk.click("footer a", "scores/customer")

    walk.page.wait_for(["The scores of each customer", "delivered_tables"])
    walk.picture("lineage-2-asset", "td", "delivered_tables")
    walk.click("a", "group%3A%22landing%22", in_new_window=True)

    walk.page.wait_for(["landing / account", "landing / loan", "landing / transaction"], least=2)
    walk.picture("lineage-3-tables", "a", "landing / customer")
    walk.click("a", "landing / customer")

    walk.page.wait_for(["Customers: profile", "source_files"])
    walk.click("button, a", "Show Table")
    (file, digest) = re.search(
        r"(customer/2025-12\.parquet)\s+[\d,]+\s+([0-9a-f]{64})\s", walk.page.wait_for(["sha256"])
    ).groups()
    walk.picture("lineage-4-hash", "td", digest)

    assert len(walk.clicks) <= MOST_CLICKS
    (delivered,) = walk.home.glob(f"delivery/**/{file}")
    assert digest == hashlib.sha256(delivered.read_bytes()).hexdigest()
