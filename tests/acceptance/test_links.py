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
from urllib.parse import urlsplit

import pytest
from PIL import Image

from orchestration.portal.links import VIEWS
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
# Ports of `make ui`, above its first.
DAGSTER, MLFLOW, REPORTS = 0, 1, 2
PATIENCE = 120
LINKS = "return [...document.querySelectorAll(arguments[0])].map(one => one.href)"
SHOW = "arguments[0].scrollIntoView({block: 'center'})"
FIND = """
return [...document.querySelectorAll(arguments[0])].find(
  one => one.innerText.includes(arguments[1]) && one.offsetParent)
"""
WORDS = "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText)"
# The list beside the lineage: groups that are closed, and the names of groups and assets.
OPEN_GROUPS = """
const arrows = [...document.querySelectorAll(
  '[class*=AssetSidebarNode] [aria-label=arrow_drop_down]')];
const closed = arrows.filter(one => one.style.transform.includes('-90'));
closed.forEach(one => one.closest('button').click());
return closed.length
"""
NAMES = (
    "return [...document.querySelectorAll('[class*=AssetSidebarNode] [title]')].map(o => o.title)"
)
# Groups and assets within the view of each role, and assets beyond it.
SEEN = {
    "engineer": (["landing", "ledger_reconciliation", "stg_card"], ["profit_by_line", "clv"]),
    "models": (["features", "clv", "customer_line", "segment_profile"], ["stg_card", "worklist"]),
    "finance": (["account_month", "profit_by_branch", "reconciliation"], ["clv", "stg_card"]),
    "marketing": (["contacts", "contact_plan", "measurement"], ["stg_card", "profit_by_line"]),
    "risk": (["alerts", "transaction", "loss_backtest"], ["clv", "stg_card", "worklist"]),
    "manager": (["decisions", "worklist", "contact_plan"], ["ledger", "measurement"]),
}


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
            with Image.open(path) as taken:
                taken.quantize(64).save(path, optimize=True)
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
        with browser(place, 1600, 900) as page:
            yield Walk(page, home, port)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def test_a_score_leads_to_the_hash_of_a_source_file_in_three_clicks(walk: Walk) -> None:
    walk.page.open(walk.at(REPORTS, "current/customers.html"))
    walk.page.wait_for(["Customer base", "Behind this page"])
    walk.picture("lineage-1-score", "footer a", "scores/customer")
    walk.click("footer a", "scores/customer")

    walk.page.wait_for(["The scores of each customer", "delivered_tables"], seconds=PATIENCE)
    walk.picture("lineage-2-asset", "td", "delivered_tables")
    walk.click("a", "group%3A%22landing%22", in_new_window=True)

    walk.page.wait_for(["landing / account", "landing / customer"], seconds=PATIENCE)
    walk.picture("lineage-3-tables", "a", "landing / customer")
    walk.click("a", "landing / customer")

    shown = walk.page.wait_for(["Customers: profile", "source_files", "sha256"], seconds=PATIENCE)
    ((file, digest),) = re.findall(r"(customer/2025-12\.parquet)\s+\d+\s+([0-9a-f]{64})\s", shown)
    walk.picture("lineage-4-hash", "td", digest)

    assert len(walk.clicks) <= MOST_CLICKS
    (delivered,) = walk.home.glob(f"delivery/**/{file}")
    assert digest == hashlib.sha256(delivered.read_bytes()).hexdigest()


def test_a_model_leads_to_mlflow_and_to_its_run_and_back_to_its_page(walk: Walk) -> None:
    walk.page.open(walk.at(REPORTS, "current/models/clv.html"))
    walk.page.wait_for(["Model card", "Run in Dagster"])
    address = walk.page.run("return location.href")
    (run_id,) = walk.page.run(WORDS, "[data-mlflow^='#/runs/']")
    walk.click("dd a", run_id)
    walk.page.wait_for(["clv", "Model metrics", "trained as of"], seconds=PATIENCE)
    assert walk.page.run("return location.href").startswith(walk.at(MLFLOW))
    walk.page.open(address)
    version = "[data-mlflow^='#/models/clv/versions/'] a"
    walk.click(version, "")
    walk.page.wait_for(["Registered At", "Source Run"], seconds=PATIENCE)
    walk.page.open(address)
    walk.click("td [data-dagster^='runs/'] a", "")
    walk.page.wait_for(["landing_layer", "Success"], seconds=PATIENCE)
    walk.page.open(walk.at(DAGSTER, "assets/models/clv"))
    walk.page.wait_for(["portal_page", "mlflow_model", "mlflow_version"], seconds=PATIENCE)
    walk.click("a", "/current/models/clv.html", in_new_window=True)
    walk.page.wait_for(["Model card"])
    assert walk.page.run("return location.href") == address


def test_a_delivered_file_leads_to_its_asset_and_the_asset_to_its_gate(walk: Walk) -> None:
    walk.page.open(walk.at(REPORTS, "current/quality.html"))
    walk.click("[data-dagster='assets/landing/transaction'] a", "")
    walk.page.wait_for(["Every booking on an account", "source_files"], seconds=PATIENCE)
    walk.page.open(walk.at(DAGSTER, "assets/landing/transaction?view=checks"))
    walk.page.wait_for(["G1", "delivered records are complete"], seconds=PATIENCE)
    walk.page.wait_for(["report_file", "gates.html"], seconds=PATIENCE)
    report, *_ = walk.page.run(LINKS, "a[href$='/gates.html']")
    assert (walk.home / "reports" / urlsplit(report).path.lstrip("/")).exists()


def test_each_view_opens_with_its_assets_and_without_others(walk: Walk) -> None:
    walk.page.emulate(1600, 3600)
    walk.page.open(walk.at(REPORTS, "current/quality.html"))
    # The address leads on to the page of the release.
    walk.page.wait_for([VIEWS[0].selection])
    links = walk.page.run(LINKS, "#lineage a")
    assert links == [walk.at(DAGSTER, view.path) for view in VIEWS]
    for view, link in zip(VIEWS, links, strict=True):
        within, beyond = SEEN[view.role]
        walk.page.open(link)
        walk.page.wait_for([view.selection, *within[:1]], seconds=PATIENCE)
        # Groups open one after the other.
        while walk.page.run(OPEN_GROUPS):
            walk.page.wait_for(within[:1])
        walk.page.wait_for(within, seconds=PATIENCE)
        assert not set(beyond) & set(walk.page.run(NAMES)), view.role


def test_in_the_folder_names_stay_text(walk: Walk) -> None:
    release = (walk.home / "published" / "current.duckdb").resolve().stem
    for page in ("customers", "models/clv", "quality"):
        walk.page.open((walk.home / f"reports/{release}/en/{page}.html").as_uri())
        walk.page.wait_for(["Behind this page", "Run in Dagster"])
        assert walk.page.run(LINKS, "[data-dagster] a, [data-mlflow] a") == []
