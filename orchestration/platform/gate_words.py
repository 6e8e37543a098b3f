"""What gates found, as phrases of the catalogue.

Releases hold the texts of `expectations` in English (`meta.gate_result`): what a rule states, and
the figures that the runner composes. A text that no pattern fits stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reports.phrases import recognised
from reports.words import Code, Phrase, joined

SEPARATOR = "; "
# Figures of a sentence: a translation holds for whatever limit the rule has.
FIGURE = re.compile(r"(?<![\w.,-])[-+]?\d+(?:\.\d+)?%?(?![\w.]*\w)")
# "2024-05 (bookings 0)": what identifies a row, a figure's column and the figure.
PLACED = re.compile(r"(.+) \(([a-z][a-z0-9_]*) (\S+)\)")
VALUE = re.compile(r"[+-]?\d[\d.,e+-]*|-?inf|empty")
# Single words that are no keys.
WORDS = (
    *("empty", "none", "customers", "accounts", "watch", "warning", "alarm"),
    *("adjustment", "tolerance"),
)
# A residual's kind, before its pool.
RESIDUALS = ("unallocated overhead",)
UNKNOWN = "{0} (no interval is known)"
CURED = "{0}. Cure: {1}"
LIMITS: dict[str, tuple[str, ...]] = {
    "at least {0}": ("text",),
    "at most {0}": ("text",),
    "none of {0}": ("text",),
    "{0} to {1}": ("value", "value"),
}
ROWS = ("figure", "text", "figure")
# Why a rule was not judged.
UNJUDGED: dict[str, tuple[str, ...]] = {
    "the {0} model is off for this source: it has no campaigns": ("word",),
    "the {0} model is off for this source": ("word",),
    "{0} does not exist: build the previous layer": ("text",),
    "{0} does not exist": ("text",),
    "{0} is empty": ("value",),
}
# The order counts: of two that fit, the first is meant.
FOUND: dict[str, tuple[str, ...]] = {
    **UNJUDGED,
    "the rule cannot be checked: {0}": ("text",),
    "the profile cannot be computed: {0}": ("text",),
    "{0} of {1} rows break it": ("figure", "figure"),
    "{0} rows": ("figure",),
    "{0} is empty": ("column",),
    "{0} {1} to {2}": ("column", "value", "value"),
    "and {0} more runs of months": ("figure",),
    "and {0} more": ("figure",),
    "{0} to {1}": ("value", "value"),
    "{0} interval {1} to {2}": ("share", "value", "value"),
    "{0} row(s), {1} in the release before": ("figure", "figure"),
    "{0} row(s) in {1} (first: row {2})": ROWS,
    "{0} row(s) in {1} (first: row {2}) and {3} more file(s)": (*ROWS, "figure"),
    "{0} row(s) in {1} (first: row {2}), {3}": (*ROWS, "text"),
    "{0} row(s) in {1} (first: row {2}) and {3} more file(s), {4}": (*ROWS, "figure", "text"),
    "row(s) that refer to them follow: {0}": ("text",),
    "{0} of {1} account-months do not add up": ("figure", "figure"),
    "{0} of {1} bookings": ("figure", "figure"),
    "{0} on accounts of {1}": ("word", "word"),
    "{0} on accounts of {1} and {2} more": ("word", "word", "figure"),
    "in all {0}": ("figure",),
    "largest: branch {0}, {1}, {2}: ledger {3}, booked {4}": (
        *("value", "word", "word", "value", "list"),
    ),
    "largest: {0} ({1}), {2}: expected {3}, found {4}, difference {5}": (
        *("list", "text", "text", "value", "value", "list"),
    ),
    "the rows: {0}": ("text",),
    "largest: {0}": ("text",),
    "largest {0}: {1}": ("figure", "value"),
    "first: {0}": ("text",),
    "most over: {0}": ("text",),
    "{0} loans owe {1}": ("figure", "figure"),
    "within {0} of what was expected": ("figure",),
    "expected {0}, realised {1}": ("figure", "figure"),
    "paid {0}, transfer price {1}": ("text", "text"),
    "charged {0}, transfer price {1}": ("text", "text"),
    "the earliest of {0} sees {1} of {2} months": ("figure", "figure", "figure"),
    "{0} of {1} features above {2}": ("figure", "figure", "figure"),
    "chance alone stays below {0} in {1} of {2} samples": ("figure", "figure", "figure"),
    "on {0} rows of {1}": ("figure", "value"),
    "with {0} events added to either": ("figure",),
    "a test of each campaign at {0} in {1}": ("figure", "figure"),
    "overridden by {0} until {1}: {2}": ("text", "value", "text"),
    "{0} customers with {1} outcomes": ("figure", "figure"),
    "{0} and {1} more": ("list", "figure"),
    "{0} {1}": ("column", "value"),
}


def rule_words(text: str) -> str:
    """What a rule states, its figures apart: `at most 1% of …` is of the pattern `at most {0} of
    …`."""
    found = FIGURE.findall(text)
    if not found or "{" in text:
        return text
    numbers = iter(range(len(found)))
    return Phrase(FIGURE.sub(lambda _: f"{{{next(numbers)}}}", text), *found)


def label_words(column: str) -> str:
    """The label of a figure without one of its own."""
    return rule_words(column.replace("_", " "))


def limit_words(text: str | None) -> str:
    """What an expectation allows."""
    found = recognised(text or "", LIMITS)
    return found if isinstance(found, Phrase) else joined("{0}, {1}", found.split(", "))


def found_words(text: str | None) -> str:
    """What was seen, or where: parts by semicolons."""
    if not text:
        return ""
    reason = text.removeprefix("not judged: ")
    if reason != text:
        return Phrase("not judged: {0}", unjudged_words(reason))
    return joined("{0}; {1}", map(_part, text.split(SEPARATOR)))


def unjudged_words(text: str) -> str:
    """Why a profile's rules were not judged."""
    return recognised(text, UNJUDGED)


def warning_words(result: dict[str, Any], line: str) -> dict[str, str]:
    """A line of a row of `meta.gate_result` (`GateResult.line`): its text, and the cure that
    follows it; no cure where the line has another form."""
    cure = result["cure"]
    end = f". {cure[:1].upper()}{cure[1:]}"
    if not cure or not line.endswith(end):
        return {"text": line, "cure": ""}
    limit = f", limit {result['bound']}" if result["bound"] else ""
    parts = re.fullmatch(
        rf"(\S+) warns: (.+?): (.+?){re.escape(limit)}"
        r"(?:, beyond chance \((.+?)\))?(?:; (.+))?",
        line.removesuffix(end),
    )
    if not parts:
        return {"text": line.removesuffix(end), "cure": cure}
    gate, place, seen, chance, where = parts.groups()
    model = place.removeprefix("model ")
    place = Code(place) if model == place else Phrase("model {0}", model)
    text = Phrase("{0} warns: {1}: {2}", gate, place, _seen(seen, result["observed"]))
    if limit:
        text = Phrase("{0}, limit {1}", text, limit_words(result["bound"]))
    if chance:
        text = Phrase("{0}, beyond chance ({1})", text, found_words(chance))
    if where:
        text = Phrase("{0}; {1}", text, found_words(where))
    return {"text": text, "cure": rule_words(cure)}


def _seen(text: str, observed: str) -> str:
    """The figure farthest beyond the limit, after its label."""
    known = text.removesuffix(" (no interval is known)")
    if known != text:
        return Phrase(UNKNOWN, _seen(known, observed))
    if known.endswith(f" {observed}"):
        label = known.removesuffix(f" {observed}")
        return Phrase("{0} {1}", rule_words(label), found_words(observed))
    label, _, value = known.rpartition(" ")
    if not VALUE.fullmatch(value):
        return rule_words(known)
    return Phrase("{0} {1}", rule_words(label), value)


def _part(text: str) -> str:
    if text in RESIDUALS:
        return text
    found = recognised(text, FOUND)
    if isinstance(found, Phrase):
        return Phrase(found.pattern, *map(_placed, FOUND[found.pattern], found.parts))
    place, separator, rest = text.partition(": ")
    if separator:
        return Phrase("{0}: {1}", _part(place), _part(rest))
    if placed := PLACED.fullmatch(text):
        where, column, value = placed.groups()
        return Phrase("{0} ({1} {2})", _part(where), label_words(column), value)
    if ", " in text:
        return joined("{0}, {1}", map(_part, text.split(", ")))
    # A key of the bank's may be a word of the catalogue.
    return text if " " in text or text in WORDS else Code(text)


def _placed(form: str, part: Any) -> Any:
    if form in ("value", "text"):
        return part if part in WORDS else Code(part)
    worded = {"column": label_words, "list": _part}.get(form)
    return worded(part) if worded else part


def gate_examples() -> Iterator[str]:
    """Every pattern once, for the catalogue."""
    for pattern, places in (*LIMITS.items(), *FOUND.items()):
        yield Phrase(pattern, *range(len(places)))
    yield from (Phrase("not judged: {0}", 0), Phrase("{0} ({1} {2})", *range(3)))
    yield from (
        Phrase("model {0}", 0),
        Phrase("{0} warns: {1}: {2}", *range(3)),
        Phrase("{0}, limit {1}", 0, 1),
    )
    yield from (Phrase("{0}, beyond chance ({1})", 0, 1), Phrase(UNKNOWN, 0))
    yield from (*WORDS, *RESIDUALS, "with a term", "without a term")
