"""Occasions: customers whom a manager can serve without a plan, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable

import reports
from orchestration.decisions.occasion_sentences import SENTENCES
from orchestration.portal.page import Release
from orchestration.valuation.queries import Row
from reports.formats import ENGLISH
from reports.words import LANGUAGES

# The lists that a model's score makes.
MODELS = {"at_risk": "attrition", "high_value": "high_value"}


def occasions(release: Release, name: str) -> list[Row]:
    """The rows of `queries/customers_<name>.sql`, each with its reason in words, `why`."""
    rows = release.rows(f"customers_{name}")
    if model := MODELS.get(name):
        found = release.rows("customers_reason", model=model) if rows else []
        reasons = {row["customer_id"]: row["reason"] for row in found}
        rows = [row | {"reason": reasons.get(row["customer_id"])} for row in rows]
    return [row | {"why": SENTENCES[name](row)} for row in rows]


def as_file(rows: Iterable[Row]) -> list[Row]:
    """The rows as a file has them: the reason in each language, `reason` in English."""
    others = [language for language in LANGUAGES if language != ENGLISH]
    return [
        {key: value for key, value in row.items() if key not in ("why", "reason")}
        | {"reason": str(row["why"])}
        | {f"reason_{language}": reports.worded(row["why"], language) for language in others}
        for row in rows
    ]
