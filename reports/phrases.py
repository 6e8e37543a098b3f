"""Texts of tables as phrases of the catalogue: what stands in the places of a known sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache

from reports.words import Phrase

# What a place may hold. A figure keeps its places; the others stay texts.
FORMS = {
    "figure": r"[+-]?[\d,]+(?:\.\d+)?(?:e[+-]?\d+)?",
    "share": r"[+-]?\d+ ?%",
    "word": r"[a-z][a-z0-9_]*",
    "words": r"[a-z][a-z ]*?",
    "column": r"[a-z][a-z0-9_]*",
    "value": r"\S+",
    "text": r".+",
    "list": r".+",
}


def recognised(text: str, patterns: Mapping[str, tuple[str, ...]]) -> str:
    """The phrase of the first pattern that a text fits; the text itself where none does.

    Parameters
    ----------
    patterns : pattern of the catalogue, such as `{0} of {1}` → the form of each place
    """
    for pattern, places in patterns.items():
        if found := _expression(pattern, places).fullmatch(text):
            parts = zip(places, found.groups(), strict=True)
            made = Phrase(pattern, *(_part(place, part) for place, part in parts))
            return made if places else pattern
    return text


@cache
def _expression(pattern: str, places: tuple[str, ...]) -> re.Pattern[str]:
    expression = re.escape(pattern)
    for number, place in enumerate(places):
        expression = expression.replace(rf"\{{{number}\}}", f"({FORMS[place]})")
    return re.compile(expression)


def _part(place: str, text: str) -> str | Decimal:
    return Decimal(text.replace(",", "")) if place == "figure" else text
