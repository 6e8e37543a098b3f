"""Describe the codes that the contract does not list: the most frequent, with the likely code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

MOST_LISTED = 5
LONGEST_SHOWN = 40
# In a table with personal columns a shifted row may put a name into a code's column. A value of at
# least this many rows, and this share of them, is a code and not a name.
LEAST_SHARED = 10
LEAST_SHARE = 0.01


def describe(
    counts: Mapping[str, int], allowed: Sequence[str], *, values: int, personal: bool
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
    """
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [
        (value, rows)
        for value, rows in ranked
        if not personal or (rows >= LEAST_SHARED and rows >= LEAST_SHARE * values)
    ][:MOST_LISTED]
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


def _guess(value: str, allowed: Sequence[str]) -> str:
    near = nearest(value, allowed)
    return f": did you mean `{near}`?" if near else ""


def _quoted(value: str) -> str:
    text = value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…"
    return "`" + "".join(sign if sign.isprintable() else "�" for sign in text) + "`"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
