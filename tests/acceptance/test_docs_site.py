"""`make docs`: one site of docs/, README and the tables; broken links fail, nothing is fetched."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import browser, browser_missing
from tests.conftest import PROJECT

pytestmark = pytest.mark.slow

BUILD = (sys.executable, "-m", "mkdocs", "build", "--strict")
NEIGHBOURS = (
    "README.md",
    "README.zh.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
)
LOADED = re.compile(r"<(?:script|img|link)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//", re.I)


def run(*command: str) -> None:
    named = {**os.environ, "DBT_WAREHOUSE": ":memory:"}
    done = subprocess.run(command, cwd=PROJECT, env=named, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    tables, folder = PROJECT / ".dbt_docs", tmp_path_factory.mktemp("docs") / "site"
    project = ("--project-dir", "dbt_project", "--profiles-dir", "dbt_project")
    written = ("--target-path", str(tables), "--log-path", str(tables))
    dbt = str(Path(sys.executable).parent / "dbt")
    run(dbt, "docs", "generate", "--static", "--empty-catalog", *project, *written)
    run(*BUILD, "--site-dir", str(folder))
    return folder


def test_the_site_holds_every_document_and_the_tables_linked_both_ways(site):
    for page in (PROJECT / "docs").rglob("*.md"):
        name = page.relative_to(PROJECT / "docs").with_suffix(".html")
        assert (site / name).exists(), name
    assert 'href="dbt/index.html"' in (site / "index.html").read_text()
    tables = (site / "dbt" / "index.html").read_text()
    assert "model.jingxi.value_account_month" in tables and "(../index.html)" in tables


def test_a_broken_link_or_anchor_fails(site, tmp_path):
    for name in ("docs", ".dbt_docs"):
        (tmp_path / name).symlink_to(PROJECT / name)
    for name in ("mkdocs.yml", "Makefile", *NEIGHBOURS):
        shutil.copy(PROJECT / name, tmp_path)
    readme = (PROJECT / "README.md").read_text()
    for broken in ("docs/valuation.md", "docs/value.md#no-such-heading"):
        (tmp_path / "README.md").write_text(f"{readme}\n[value]({broken})\n")
        built = subprocess.run(BUILD, cwd=tmp_path, capture_output=True, text=True)
        assert built.returncode == 1, built.stdout
        assert "1 warnings in strict mode" in built.stdout + built.stderr


def test_no_page_loads_anything_from_another_host(site):
    pages = [page for page in site.rglob("*.html") if page.parent.name != "dbt"]
    assert len(pages) > 20
    assert not [page for page in pages if LOADED.search(page.read_text())]


def test_the_reference_has_every_command_setting_and_rule(site):
    def text(name: str) -> str:
        return (site / "reference" / f"{name}.html").read_text(encoding="utf-8")

    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE)
    assert len(targets) > 40
    assert not [name for name in targets if f"make {name}<" not in text("commands")]
    assert "JINGXI_REFERENCE_PATH" in text("settings")
    # The rules that docs/gates.md names.
    named = re.findall(r"`(?:G[1-5]|GV)/([\w.]+)`", (PROJECT / "docs" / "gates.md").read_text())
    assert len(named) > 20
    assert not [name for name in named if name not in text("gates")]
    assert "contribution margin − overhead − capital charge" in text("metrics")
    assert "calibration_in_the_large" in text("metrics")


@pytest.mark.skipif(bool(browser_missing()), reason=browser_missing())
@pytest.mark.parametrize(
    ("words", "page"),
    [
        *(("erase", "erasure.html"), ("隔离", "glossary.html"), ("映射数据源", "howto.zh.html")),
        *(("起草", "tutorial.zh.html"), ("营销授权", "contract.zh.html")),
    ],
)
def test_the_search_works_from_the_folder(site, tmp_path, words, page):
    with browser(tmp_path) as window:
        window.open((site / "index.html").as_uri())
        window.click(".md-search__input")
        window.run(
            "const box = document.querySelector('.md-search__input'); box.focus();"
            "box.value = arguments[0];"
            "box.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true, key: 'e'}))",
            words,
        )
        window.wait_for(["matching document"])
        found = window.run(
            "return [...document.querySelectorAll('.md-search-result__link')].map(one => one.href)"
        )
        assert any(page in link for link in found), found
        assert window.complaints() == []
