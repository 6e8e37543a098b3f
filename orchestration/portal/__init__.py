"""The portal: one static site a release, in every language, that opens without a network.

It is written beside the release (`reports/<release>/`) and reads nothing but releases.
`reports/index.html` leads to the portal of the served release.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import reports
from orchestration.decisions.export import safe_text
from orchestration.platform.front_page import INDEX, lead
from orchestration.platform.releases import (
    ReleaseRefused,
    at_hand_in_words,
    proposed,
    releases_of,
    served,
)
from orchestration.platform.settings import Settings
from orchestration.portal import (
    campaigns,
    customers,
    grid,
    lists,
    models,
    plan,
    playbook,
    quality,
    risk,
    today,
    value,
)
from orchestration.portal.links import SHOWN
from orchestration.portal.page import Page, Release, opened
from orchestration.valuation.queries import Row
from reports.words import LANGUAGES

__all__ = ["PAGES", "build_portal", "chosen_release", "portal_of"]

# In the order of the navigation; the first is the front page.
PAGES: tuple[Page, ...] = (
    *(today.PAGE, value.PAGE, customers.PAGE, plan.PAGE, campaigns.PAGE),
    *(playbook.PAGE, grid.PAGE, lists.PAGE, risk.PAGE, models.PAGE, quality.PAGE),
)


def portal_of(settings: Settings, release_id: str) -> Path:
    """The front page of a release's portal in the language of the settings."""
    return settings.reports / release_id / settings.language / INDEX


def chosen_release(settings: Settings, release_id: str | None) -> Path:
    """The release of that id, also one that waits for approval; the served one without an id.

    Raises
    ------
    ReleaseRefused
        Where there is none.
    """
    if release_id is None:
        path = served(settings)
        if path is None:
            raise ReleaseRefused(f"nothing is published in {settings.home} yet. Run make refresh.")
        return path
    found = [path for path in (*releases_of(settings), proposed(settings)) if path]
    for path in found:
        if path.stem == release_id:
            return path
    raise ReleaseRefused(
        f"release {release_id} does not exist. Available: {at_hand_in_words(settings)}."
    )


def build_portal(settings: Settings, release: Path) -> Path:
    """Write the portal of a release, whole; returns its front page.

    Raises
    ------
    duckdb.Error
        Where the release cannot be read; the portal before stays.
    """
    target = settings.reports / release.stem
    draft = target.with_name(f".{release.stem}.portal")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with opened(settings, release) as read:
            for page in PAGES:
                _write_page(page, read, draft)
        target.mkdir(parents=True, exist_ok=True)
        for part in sorted(draft.iterdir()):
            shutil.rmtree(target / part.name, ignore_errors=True)
            part.replace(target / part.name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    front = portal_of(settings, release.stem)
    lead(target / INDEX, f"{settings.language}/{INDEX}")
    return front


def _write_page(page: Page, release: Release, folder: Path) -> None:
    def written(file: str, template: str, content: Row, files: str) -> None:
        for name, rows in content.get("tables", {}).items():
            _write_csv(rows, folder / "csv" / f"{files}{name}.csv", release.branches)
        for language in LANGUAGES:
            site = _site(page, file, files, release)
            made = reports.render(template, {"site": site, **content}, language)
            reports.write(made, folder / language / file)

    written(page.file, page.template, page.content(release), f"{page.name}_")
    for part in page.parts(release):
        file = f"{page.name}/{part.file}"
        # A folder a part: who may open the page may have its files.
        files = f"{file.removesuffix('.html')}/"
        written(file, page.part_template, part.content, files)


def _site(page: Page, file: str, files: str, release: Release) -> dict[str, Any]:
    """What every page shows of the site around it; links are relative.

    `files` begins the names of the page's tables as files.
    """
    shown = SHOWN[page.name]
    return {
        "page": page.name,
        "file": file,
        "files": files,
        "up": "../" * file.count("/"),
        "pages": [(one.name, one.file) for one in PAGES],
        "languages": LANGUAGES,
        "release_id": release.release_id,
        "month": release.month,
        "source": release.source,
        "horizon": release.horizon,
        "run_id": release.run_id,
        "branches": release.branches,
        "currency": release.currency,
        "unpriced": release.unpriced if page.has_money else None,
        # A model's page has its own alone.
        "assets": [one for one in shown if f"{one}.html" == file] or shown,
    }


def _write_csv(rows: Iterable[Row], path: Path, branches: Mapping[str, str]) -> None:
    """UTF-8 with a header; texts as `safe_text` makes them, nothing (None) as an empty cell. A
    branch has its name in a column of its own, where one was delivered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    if branches and any("branch_id" in row for row in rows):
        rows = [row | {"branch_name": branches.get(row.get("branch_id", ""))} for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            values = (row.get(name) for name in names)
            writer.writerow(safe_text(one) if isinstance(one, str) else one for one in values)
