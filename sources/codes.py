"""Describe the codes that the contract does not list: the most frequent, with the likely code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from sources.message import Message, by_semicolons

MOST_LISTED, MOST_OF_A_CHECK = 5, 50
LONGEST_SHOWN = 40
# A part of a description: a value with its rows, or how many others there are.
PART = re.compile(
    r"(?:(?P<value>`[^`]*`)|(?P<many>[\d,]+)(?P<other> other)? values?) \((?P<rows>[\d,]+) rows?\)"
    r"(?:: did you mean `(?P<near>[^`]*)`\?)?(?:; |$)"
)
# Before a code that a mapping does not name and the contract would take.
MARK = "(not in codes) "
# In a table with personal columns a shifted row may put a name into a code's column. A value of at
# least this many rows, and this share of them, is a code and not a name.
LEAST_SHARED = 10
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Counted:
    """All rows of a query by a value: the most frequent values with their rows, the number of all
    values, rows, and rows without one."""

    counts: Mapping[str, int]
    values: int
    rows: int
    empty: int


def counted(connection: duckdb.DuckDBPyConnection, relation: str, value: str, most: int) -> Counted:
    """The rows of a query by an expression, with at most so many values."""
    found = connection.execute(
        f"select {value} as _code, count(*) as _rows, count(_code) over (), sum(_rows) over () "
        f"from ({relation}) group by 1 order by _code is null desc, _rows desc, 1 limit {most + 1}"
    ).fetchall()
    counts = {one: rows for one, rows, *_ in found if one is not None}
    (_, _, values, rows), *_ = found or [(None, 0, 0, 0)]
    empty = sum(count for one, count, *_ in found if one is None)
    return Counted(dict(list(counts.items())[:most]), values, int(rows), empty)


def describe(
    counts: Mapping[str, int],
    allowed: Sequence[str],
    *,
    values: int,
    personal: bool,
    most: int = MOST_LISTED,
) -> str:
    """`depsit` (412 rows): did you mean `deposit`?; `KK` (3 rows); 7 other values (9 rows).

    Parameters
    ----------
    counts
        Rows by value, of the values that are not allowed.
    allowed
        The codes that the contract lists.
    values
        Rows with a value, allowed or not.
    personal
        Whether the table has personal columns: rare values are then counted but not shown.
    most
        Values that are shown.
    """
    shown = dict(list(shareable(counts, values=values, personal=personal).items())[:most])
    parts: list[str] = []
    for value, rows in shown.items():
        found, near = Message("{0} ({1})", _quoted(value), _rows(rows)), nearest(value, allowed)
        parts.append(Message("{0}: did you mean `{1}`?", found, near) if near else found)
    if others := len(counts) - len(shown):
        rest = _rows(sum(counts.values()) - sum(shown.values()))
        parts.append(Message("{0} ({1})", _others(f"{others:,}", bool(shown)), rest))
    return by_semicolons(parts)


def in_words(described: str) -> str:
    """A description that was kept as text, as the message that it was; any other text as it is."""
    found, at = [], 0
    while part := PART.match(described, at):
        value, near, many, other, rows = part.group("value", "near", "many", "other", "rows")
        counted = _rows(int(rows.replace(",", "")))
        if value is not None:
            one = Message("{0} ({1})", value, counted)
            found.append(Message("{0}: did you mean `{1}`?", one, near) if near else one)
        else:
            found.append(Message("{0} ({1})", _others(many, bool(other)), counted))
        at = part.end()
        if at == len(described):
            return by_semicolons(found)
    return described


def to_add(counts: Mapping[str, int], allowed: Sequence[str]) -> str:
    """The lines of a mapping's `codes` for values, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_OF_A_CHECK]
    keys = (value.removeprefix(MARK) for value, _ in ranked)
    return "".join(f'\n    "{key}": {nearest(key, allowed) or "<value>"}' for key in keys)


def shareable(counts: Mapping[str, int], *, values: int, personal: bool) -> dict[str, int]:
    """Rows by value, the most frequent first; of a table with personal columns only what many rows
    share."""
    return {
        value: rows
        for value, rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if not personal or (rows >= LEAST_SHARED and rows >= LEAST_SHARE * values)
    }


def listed(allowed: Sequence[str]) -> str:
    return ", ".join(f"`{value}`" for value in allowed)


def nearest(value: str, allowed: Sequence[str]) -> str | None:
    """The allowed value most like a value: equal apart from case and punctuation, the only one with
    this beginning, or one of similar spelling; None if there is none."""
    plain = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_")
    if not plain or plain in allowed:
        return plain or None
    begins = [code for code in allowed if code.startswith(plain)]
    if len(begins) == 1:
        return begins[0]
    near = difflib.get_close_matches(plain, allowed, n=1)
    return near[0] if near else None


def _quoted(value: str) -> str:
    text = value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…"
    return "`" + "".join(sign if sign.isprintable() else "�" for sign in text) + "`"


def _others(count: str, beside_shown: bool) -> Message:
    if count == "1":
        return Message("1 other value") if beside_shown else Message("1 value")
    return Message("{0} other values", count) if beside_shown else Message("{0} values", count)


def _rows(count: int) -> Message:
    return Message("1 row") if count == 1 else Message("{0} rows", f"{count:,}")
