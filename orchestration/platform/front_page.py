"""`reports/index.html`: leads to the portal of the served release."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import reports
from orchestration.platform.progress import report_progress
from orchestration.platform.settings import Settings

INDEX = "index.html"


def lead(path: Path, target: str) -> None:
    """Write a page that leads to another one, relative to it."""
    reports.write(reports.render("portal/lead.html", {"target": target}), path)


def lead_to(settings: Settings, release_id: str) -> None:
    """Let the front page lead to a release's portal, if it has one; a failure is reported."""
    try:
        if (settings.reports / release_id / INDEX).exists():
            lead(settings.reports / INDEX, f"{quote(release_id)}/{INDEX}")
    except OSError as error:
        report_progress(f"{settings.reports / INDEX} was not written: {error}")
