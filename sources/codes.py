"""Codes that the contract does not list, in words: the most seen, and what they may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

MOST_TOLD = 5
LONGEST_TOLD = 40
# In a table with personal columns a shifted row puts a name where a code belongs. What so many
# rows, and such a share of them, have in common is a code and nobody's name.
LEAST_SHARED = 10
LEAST_SHARE = 0.01


def told(counts: Mapping[str, int], allowed: Sequence[str], *, values: int, personal: bool) -> str:
    """`depsit` (412 rows): did you mean `deposit`?; `KK` (3 rows); 7 other values (9 rows).

    Parameters
    ----------
    counts
        Rows by value, of the values that are not allowed.
    allowed
        What the contract lists.
    values
        Rows with a value, allowed or not.
    personal
        Whether the table has personal columns: what few rows hold is then counted only.
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [
        (value, rows)
        for value, rows in ranked
        if not personal or (rows >= LEAST_SHARED and rows >= LEAST_SHARE * values)
    ][:MOST_TOLD]
    parts = [f"{_quoted(value)} ({_rows(rows)}){_guess(value, allowed)}" for value, rows in shown]
    others = len(ranked) - len(shown)
    if others:
        rest = _rows(sum(counts.values()) - sum(rows for _, rows in shown))
        kind = "other value" if shown else "value"
        parts.append(f"{others:,} {kind}{'' if others == 1 else 's'} ({rest})")
    return "; ".join(parts)


def listed(allowed: Sequence[str]) -> str:
    return ", ".join(f"`{value}`" for value in allowed)


def nearest(value: str, allowed: Sequence[str]) -> str | None:
    """The allowed value that was probably meant: the same but for capitals and signs, the only one
    that begins so, or one spelt much alike."""
    plain = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_")
    if not plain or plain in allowed:
        return plain or None
    begins = [code for code in allowed if code.startswith(plain)]
    if len(begins) == 1:
        return begins[0]
    near = difflib.get_close_matches(plain, allowed, n=1)
    return near[0] if near else None


def _guess(value: str, allowed: Sequence[str]) -> str:
    near = nearest(value, allowed)
    return f": did you mean `{near}`?" if near else ""


def _quoted(value: str) -> str:
    text = value if len(value) <= LONGEST_TOLD else value[:LONGEST_TOLD] + "…"
    return "`" + "".join(sign if sign.isprintable() else "�" for sign in text) + "`"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
