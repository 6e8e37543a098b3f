"""`reports/index.html` and `reports/current/`: lead to the portal of the served release, the front
page and each page."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import reports
from orchestration.platform.progress import report_progress
from orchestration.platform.settings import Settings
from sources.message import Message

INDEX = "index.html"
# Pages whose addresses stay the same from release to release; those of models are in a folder.
CURRENT, PAGES = "current", ("*.html", "models/*.html")


def lead(path: Path, target: str) -> None:
    """Write a page that leads to another one, relative to it."""
    reports.write(reports.render("portal/lead.html", {"target": target}), path)


def lead_to(settings: Settings, release_id: str) -> None:
    """Let the front page, and that of each page, lead to a release's portal, if it has one; a
    failure is reported."""
    portal = settings.reports / release_id
    try:
        if (portal / INDEX).exists():
            lead(settings.reports / INDEX, f"{quote(release_id)}/{INDEX}")
        pages = portal / settings.language
        for page in (found for pattern in PAGES for found in pages.glob(pattern)):
            up = "../" * len(page.relative_to(pages).parts)
            target = quote(page.relative_to(settings.reports).as_posix())
            lead(settings.reports / CURRENT / page.relative_to(pages), f"{up}{target}")
    except OSError as error:
        path = str(settings.reports / INDEX)
        report_progress(Message("{0} was not written: {1}", path, str(error)))
