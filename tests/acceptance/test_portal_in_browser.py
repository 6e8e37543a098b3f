"""Every kind of page of the portal in a real browser: languages, widths, themes, accessibility."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from reports.words import LANGUAGES
from tests.browser import Browser, browser, browser_missing
from tests.pictures import WIDTHS, kinds_of_pages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser_missing()), reason=browser_missing()),
]

# This version of axe does not know the roles of ARIA's graphics module, which charts have.
AXE = """
const done = arguments[arguments.length - 1];
const options = {resultTypes: ["violations"], rules: {"aria-roles": {enabled: false}}};
axe.run(document, options).then(
  (found) => done(found.violations.map((one) => [one.id, one.impact, one.nodes[0].html])));
"""
LOADED = "return performance.getEntriesByType('resource').map((one) => one.name)"
BEYOND = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
HIDDEN = "return [...document.querySelectorAll('tbody tr')].filter((row) => row.hidden).length"
CHOOSE = """
const list = document.querySelector('.filters select');
list.selectedIndex = 1;
list.dispatchEvent(new Event('change'));
return list.options.length;
"""


@pytest.fixture(scope="module")
def site(small_bank: Path) -> Path:
    (release,) = (small_bank / "home" / "published" / "releases").glob("*.duckdb")
    return small_bank / "home" / "reports" / release.stem


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("window")) as page:
        yield page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_is_accessible_fits_the_screen_and_loads_nothing(
    site: Path, window: Browser, language: str, width: int, dark: bool
) -> None:
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    window.emulate(width, 1000, dark=dark)
    found: dict[str, Any] = {}
    pages = kinds_of_pages(site / language)
    assert len(pages) >= 11
    for path in pages:
        window.open(path.as_uri())
        window.run(axe)
        grave = [one for one in window.run_async(AXE) if one[1] in ("serious", "critical")]
        faults = {
            "accessibility": grave,
            "console": window.complaints(),
            "loaded": window.run(LOADED),
            "beyond the screen": window.run(BEYOND),
        }
        if any(faults.values()):
            found[path.name] = {name: fault for name, fault in faults.items() if fault}
    assert found == {}


def test_a_filter_hides_the_rows_of_others(site: Path, window: Browser) -> None:
    window.emulate(1440, 1000)
    window.open((site / "en" / "grid.html").as_uri())
    assert window.run(HIDDEN) == 0
    assert window.run(CHOOSE) > 2
    assert window.run(HIDDEN) > 0
