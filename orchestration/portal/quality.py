"""Data quality: what the gates found, quarantine, and the files that were read."""

from __future__ import annotations

from orchestration.platform.gate_report import gate_content
from orchestration.portal.page import Page, Release
from orchestration.valuation.queries import Row


def content(release: Release) -> Row:
    return gate_content(release.connection)


PAGE = Page("quality", content, template="gates.html")
