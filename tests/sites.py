"""Portals of releases that are laid by hand."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from orchestration import portal
from orchestration.platform.settings import Settings
from orchestration.portal.page import Page


def build(home: Path, statements: str, pages: tuple[Page, ...]) -> Path:
    """The folder of these pages of a release that is made by statements."""
    settings = Settings(home=home)
    path = settings.published / "releases" / "r1.duckdb"
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(statements)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portal, "PAGES", pages)
        portal.build_portal(settings, path)
    return settings.reports / "r1"
