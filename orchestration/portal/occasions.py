"""Occasions: customers whom a manager can serve without a plan, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable

import reports
from orchestration.decisions.occasion_sentences import SENTENCES
from orchestration.decisions.reason_words import is_withheld, row_in_words
from orchestration.decisions.roles import WITHHELD
from orchestration.portal.page import Release
from orchestration.valuation.queries import Row
from reports.formats import ENGLISH
from reports.words import LANGUAGES

SHOWN_REASONS = 2
OTHERS = [language for language in LANGUAGES if language != ENGLISH]
# Whether a customer who may be served may be made an offer, too.
ALLOWED, SERVICE_ONLY = "allowed", "service only"
# The lists that a model's score makes.
MODELS = {"at_risk": "attrition", "high_value": "high_value"}


def occasions(release: Release, name: str) -> list[Row]:
    """The rows of `queries/customers_<name>.sql`, each with its reason in words: `why`, and
    `reason_<language>` of every language but English."""
    if name not in release.occasions:
        release.occasions[name] = _read(release, name)
    return release.occasions[name]


def _read(release: Release, name: str) -> list[Row]:
    rows = release.rows(f"customers_{name}")
    if model := MODELS.get(name):
        raised = _raised(release, model) if rows else {}
        rows = [row | {"raised": raised.get(row["customer_id"], [])} for row in rows]
    found = []
    for row in rows:
        why, marketing = SENTENCES[name](row), _marketing(release, row["customer_id"])
        others = {f"reason_{language}": reports.worded(why, language) for language in OTHERS}
        found.append(row | {"why": why, "marketing": marketing} | others)
    return found


def _marketing(release: Release, customer_id: str | None) -> str | None:
    """Whether offers may be made on the occasion; None where no rule is known."""
    if release.suppressed is None or customer_id is None:
        return None
    return SERVICE_ONLY if customer_id in release.suppressed else ALLOWED


def _raised(release: Release, model: str) -> dict[str, list[str]]:
    """By customer the sentences of what raises the score most, without what is withheld."""
    found: dict[str, list[str]] = {}
    for row in release.rows("customers_reason", model=model):
        shown = found.setdefault(row["customer_id"], [])
        if len(shown) < SHOWN_REASONS and not is_withheld(row["feature"], WITHHELD):
            shown += filter(None, [row_in_words(row)])
    return found


def as_file(rows: Iterable[Row]) -> list[Row]:
    """The rows as a file has them: the reason in each language, `reason` in English."""
    last = [f"reason_{language}" for language in OTHERS]
    return [
        {key: value for key, value in row.items() if key not in ("why", "raised", *last)}
        | {"reason": str(row["why"])}
        | {key: row[key] for key in last}
        for row in rows
    ]
