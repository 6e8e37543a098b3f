"""Paths, make targets, settings and commands named in README and documents exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.cli import app
from orchestration.platform.environment import PROJECT
from orchestration.platform.settings import Settings

PAGES = [*sorted(PROJECT.glob("README*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]
FOLDERS = (
    *("orchestration", "sources", "ml", "expectations", "dbt_project", "tests", "docs", "deploy"),
    # A home has a folder `reports` too.
    *("reports/templates", "reports/locale", "benchmarks"),
)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
PLACE = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`")
MAKE = re.compile(r"(?:`|^)make ([a-z-]+)", re.MULTILINE)
VARIABLE = re.compile(r"JINGXI_[A-Z_]+")
BLOCK = re.compile(r"^ *```sh\n.*?^ *```$", re.MULTILINE | re.DOTALL)
TERMS = re.compile(r"^\| (?!---)(.+?) \| (.+?) \|", re.MULTILINE)
COMMAND = re.compile(r"(?:python -m orchestration|bin/jingxi) (\w+)")


def name_of(page: Path) -> str:
    return str(page.relative_to(PROJECT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    missing += [path for path in PLACE.findall(text) if not (PROJECT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_settings_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    settings = {f"JINGXI_{name.upper()}" for name in Settings.model_fields}
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert set(MAKE.findall(text)) <= targets
    assert set(VARIABLE.findall(text)) <= settings
    assert set(COMMAND.findall(text)) <= commands


@pytest.mark.parametrize("name", ["tutorial", "howto"])
def test_a_translated_document_has_the_commands_of_the_english_one(name):
    english, chinese = (
        BLOCK.findall((PROJECT / "docs" / file).read_text(encoding="utf-8"))
        for file in (f"{name}.md", f"{name}.zh.md")
    )
    assert len(english) >= 8
    assert chinese == english


@pytest.mark.parametrize("page", ["national-bank.md", "national-bank.zh.md"])
def test_the_plan_of_a_national_bank_shows_what_its_program_prints(page):
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.count("\n") > 20 and f"|--:|\n{printed}\n" in text
    english = (PROJECT / "docs" / "national-bank.md").read_text(encoding="utf-8")
    assert program in english


def test_both_glossaries_have_the_same_terms():
    english, chinese = (
        TERMS.findall((PROJECT / "docs" / file).read_text(encoding="utf-8"))[1:]
        for file in ("glossary.md", "glossary.zh.md")
    )
    assert len(english) > 50
    assert sorted((chinese, english) for english, chinese in english) == sorted(chinese)


def test_every_document_is_named_in_the_readme():
    linked = set(LINK.findall((PROJECT / "README.md").read_text(encoding="utf-8")))
    pages = {f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md")}
    assert pages <= linked
