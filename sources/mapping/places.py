"""The files that a mapping names: a file, a folder, or a pattern with the month in it.

`*` stands for any signs within a name, `**` for folders, and `{YYYYMM}`, `{YYYYMMDD}`, `{YYYY-MM}`,
`{YYYY-MM-DD}` for the month of a master's extract. Case does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import cache

from sources.files import LEFTOVER, MARKERS
from sources.message import Message, listed

MONTHS = {
    "{YYYYMM}": r"(?P<y>(?:19|20)[0-9]{2})(?P<m>0[1-9]|1[0-2])",
    "{YYYYMMDD}": r"(?P<y>(?:19|20)[0-9]{2})(?P<m>0[1-9]|1[0-2])[0-3][0-9]",
    "{YYYY-MM}": r"(?P<y>(?:19|20)[0-9]{2})-(?P<m>0[1-9]|1[0-2])",
    "{YYYY-MM-DD}": r"(?P<y>(?:19|20)[0-9]{2})-(?P<m>0[1-9]|1[0-2])-[0-3][0-9]",
}
SIGNS = re.compile(r"\*\*/?|\*|\?|\{[^}]*\}")


def fault_of(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    if pattern.startswith("/") or ".." in pattern.split("/"):
        return Message(
            "`{0}` leads out of the delivery: expected a path below SOURCE_PATH", pattern
        )
    months = re.findall(r"\{[^}]*\}", pattern)
    unknown = [found for found in months if found not in MONTHS]
    if unknown or len(months) > 1:
        return Message(
            "`{0}` has {1}: expected one of {2}", pattern, listed(months), ", ".join(MONTHS)
        )
    return None


def is_part(path: str) -> bool:
    """Whether a path below the folder is a delivered file: no marker, nothing that programs
    leave."""
    return path not in MARKERS and not any(LEFTOVER.fullmatch(part) for part in path.split("/"))


def matching(pattern: str, paths: Iterable[str]) -> dict[str, date | None]:
    """The paths that a pattern names, each with the month in it; a folder's name stands for all
    files below it."""
    found: dict[str, date | None] = {}
    expression = _expression(pattern.strip("/"))
    for path in paths:
        match = expression.fullmatch(path)
        if match is not None:
            month = match.groupdict()
            found[path] = date(int(month["y"]), int(month["m"]), 1) if month else None
    return found


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    place, found = 0, ""
    for sign in SIGNS.finditer(pattern):
        found += re.escape(pattern[place : sign.start()])
        text = sign.group()
        if text in MONTHS:
            found += MONTHS[text]
        elif text.startswith("**"):
            found += "(?:.*/)?" if text.endswith("/") else ".*"
        else:
            found += "[^/]*" if text == "*" else "[^/]"
        place = sign.end()
    return re.compile(found + re.escape(pattern[place:]) + "(?:/.*)?", re.IGNORECASE)
