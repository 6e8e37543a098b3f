"""Value: the value report, as a page of the portal."""

from __future__ import annotations

from orchestration.portal.page import Page, Release
from orchestration.release.value_report import page_content
from orchestration.valuation.queries import Row


def content(release: Release) -> Row:
    return page_content(release.connection)


PAGE = Page("value", content, template="value.html")
