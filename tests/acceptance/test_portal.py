"""The portal of a refreshed bank: its links, its files, and its figures computed another way."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from orchestration.portal import PAGES
from reports.words import LANGUAGES

pytestmark = pytest.mark.slow

LARGEST_PAGE = 3_000_000


class Page(HTMLParser):
    """The links, ids and scripts of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.ids, self.scripts = path, [], set(), 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        self.ids.add(given.get("id"))
        self.scripts += tag == "script"


@pytest.fixture(scope="module")
def site(small_bank: Path) -> Path:
    (release,) = (small_bank / "home" / "published" / "releases").glob("*.duckdb")
    return small_bank / "home" / "reports" / release.stem


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {str(path.relative_to(site)): Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_there_in_every_language(pages: dict[str, Page]) -> None:
    for language in LANGUAGES:
        assert {f"{language}/{page.file}" for page in PAGES} <= set(pages)
    english, chinese = (
        {name.partition("/")[2] for name in pages if name.startswith(f"{language}/")}
        for language in ("en", "zh")
    )
    assert english == chinese


def test_every_link_leads_to_a_page_or_file_of_the_site(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if link == "data:,":
                continue
            assert not address.scheme and not address.netloc, (name, link)
            target = page.path
            if address.path:
                target = (page.path.parent / unquote(address.path)).resolve()
            assert target.exists(), (name, link)
            if address.fragment:
                assert address.fragment in Page(target).ids, (name, link)


def test_pages_are_small_and_have_no_script_but_the_one_that_the_policy_names(
    pages: dict[str, Page],
) -> None:
    for name, page in pages.items():
        text = page.path.read_text(encoding="utf-8")
        assert len(text.encode()) < LARGEST_PAGE, name
        if "/" in name:
            assert page.scripts == 1, name
            assert re.search(r"script-src &#39;sha256-|script-src 'sha256-", text), name
            assert "default-src 'none'" in text, name


def test_the_front_page_leads_to_the_served_release(small_bank: Path, site: Path) -> None:
    front = (small_bank / "home" / "reports" / "index.html").read_text()
    assert f'url={site.name}/index.html"' in front
    assert 'url=en/index.html"' in (site / "index.html").read_text()
