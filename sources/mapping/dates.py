"""Dates as a bank writes them, as SQL: `20240131`, `31.01.2024`, `31-JAN-24`, spreadsheet serials.

A value of none of the formats is passed on, so that landing quarantines it; one that the contract
would take for a date is marked, too: it is not what the mapping describes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sources.contract import DAY
from sources.delimited import literal
from sources.grammar import PATTERNS
from sources.message import Message

SERIAL = "serial"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
PARTS = {
    "YYYY": "[1-9][0-9]{3}",
    "YY": "[0-9]{2}",
    "MON": f"(?i:{'|'.join(MONTHS)})",
    "MM": "[0-9]{2}",
    "M": "[0-9]{1,2}",
    "DD": "[0-9]{2}",
    "D": "[0-9]{1,2}",
    "hh": "[0-9]{2}",
    "mm": "[0-9]{2}",
    "ss": "[0-9]{2}",
}
YEARS, MONTH_PARTS, DAYS, TIMES = (
    ("YYYY", "YY"),
    ("MON", "MM", "M"),
    ("DD", "D"),
    ("hh", "mm", "ss"),
)
TOKEN = re.compile("|".join(PARTS))
TIME = r"([ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?"
# Days since 1899-12-30; before 1 March 1900 spreadsheets count a day that never was.
SERIAL_PATTERN, FIRST_SERIAL, LAST_SERIAL = r"[0-9]{2,7}([.][0-9]+)?", 61, 2_958_465
# Days of which no two formats of different order write the same text as another day.
PROBES = ((2003, 4, 5), (2011, 10, 12), (2008, 12, 11))


def is_two_digit(form: str) -> bool:
    """Whether the format has a year of two digits."""
    return form != SERIAL and "YY" in TOKEN.findall(form)


def fault_of(formats: Sequence[str]) -> str | None:
    """What is wrong with formats of dates, or None."""
    for form in formats:
        if form == SERIAL:
            continue
        tokens = TOKEN.findall(form)
        rest = TOKEN.sub("", form)
        counted = [
            sum(token in group for token in tokens)
            for group in (YEARS, MONTH_PARTS, DAYS, ("hh",), ("mm",), ("ss",))
        ]
        if re.search(r"[A-SU-Za-z0-9]", rest) or counted[:2] != [1, 1] or max(counted) > 1:
            return Message(
                "`{0}` is no format of dates: expected YYYY or YY, MM, M or MON, DD or D, hh, mm, "
                "ss and signs between them, or {1}",
                *(form, SERIAL),
            )
    for place, form in enumerate(formats):
        for other in formats[:place]:
            if _overlap(form, other) or _overlap(other, form):
                return Message(
                    "`{0}` and `{1}` may read one value as two days: name one of them", other, form
                )
    return None


def _overlap(form: str, other: str) -> bool:
    """Whether a text of one format is another day in the other."""
    for year, month, day in PROBES:
        text = _written(form, year, month, day)
        found = _read(text, other)
        if found is not None and found != _read(text, form):
            return True
    return False


def _written(form: str, year: int, month: int, day: int) -> str:
    if form == SERIAL:
        return "45322"
    values = {
        **{"YYYY": f"{year}", "YY": f"{year % 100:02d}", "MM": f"{month:02d}", "M": f"{month}"},
        **{"MON": MONTHS[month - 1], "DD": f"{day:02d}", "D": f"{day}"},
        **{"hh": "00", "mm": "00", "ss": "00"},
    }
    return TOKEN.sub(lambda token: values[token.group()], form)


def _read(text: str, form: str) -> tuple[str, ...] | None:
    match = re.fullmatch(pattern(form), text)
    if match is None:
        return None
    if form == SERIAL:
        return (SERIAL, text)
    found = dict(zip(TOKEN.findall(form), match.groups(), strict=False))
    pick = [next((found[t] for t in g if t in found), "1") for g in (YEARS, MONTH_PARTS, DAYS)]
    return tuple(part.lstrip("0").lower() for part in pick)


def pattern(form: str) -> str:
    """The regular expression of a format, a group for each part of the date."""
    if form == SERIAL:
        return SERIAL_PATTERN
    place, found = 0, ""
    for token in TOKEN.finditer(form):
        found += re.escape(form[place : token.start()]) + f"({PARTS[token.group()]})"
        place = token.end()
    found += re.escape(form[place:])
    return found if "hh" in form else found + TIME


def as_iso(text: str, formats: Sequence[str], earliest_year: int | None) -> str:
    """SQL: a text in one of the formats as `YYYY-MM-DD`; a month without a day is its first."""
    if not formats:
        return text
    arms = "".join(
        f" when {_matches(text, form)} then {_iso(text, form, earliest_year)}" for form in formats
    )
    marked = literal(f"(not {' or '.join(formats)}) ")
    known = f"regexp_full_match({text}, {literal(PATTERNS[DAY])})"
    return f"case{arms} when {known} then {marked} || {text} else {text} end"


def month_start(text: str) -> str:
    """SQL: the first day of the month of a day (`YYYY-MM-DD`, perhaps with a time); other texts
    unchanged."""
    day = f"try_cast(left({text}, 10) as date)"
    known = f"regexp_full_match({text}, {literal(PATTERNS[DAY])}) and {day} is not null"
    return f"case when {known} then strftime({day}, '%Y-%m-01') else {text} end"


def _matches(text: str, form: str) -> str:
    fits = f"regexp_full_match({text}, {literal(pattern(form))})"
    if form != SERIAL:
        return fits
    return f"({fits} and try_cast({text} as double) between {FIRST_SERIAL} and {LAST_SERIAL})"


def _iso(text: str, form: str, earliest_year: int | None) -> str:
    if form == SERIAL:
        return f"(date '1899-12-30' + floor(try_cast({text} as double))::integer)::varchar"
    parts = _parts(text, form)
    year, month, day = (
        next((token for token in group if token in parts), None)
        for group in (YEARS, MONTH_PARTS, DAYS)
    )
    shown = [_year(parts[year], year, earliest_year) if year else ""]
    if month == "MON":
        place = f"position(lower({parts[month]}) in {literal(''.join(MONTHS))})"
        shown.append(f"lpad((({place} + 2) // 3)::varchar, 2, '0')")
    else:
        shown.append(_padded(parts[str(month)], str(month)))
    shown.append(_padded(parts[day], day) if day else "'01'")
    return " || '-' || ".join(shown)


def _parts(text: str, form: str) -> dict[str, str]:
    """SQL for each part of a text in the format; by its place where no part before has another
    width, which is faster than the expression."""
    found: dict[str, str] = {}
    # The place in the text is that in the format, until a part of another width than its token.
    fixed = True
    for number, token in enumerate(TOKEN.finditer(form), 1):
        name = token.group()
        fixed = fixed and len(name) > 1
        if fixed:
            found[name] = f"substr({text}, {token.start() + 1}, {len(name)})"
        else:
            found[name] = f"regexp_extract({text}, {literal(pattern(form))}, {number})"
    return found


def _padded(text: str, token: str) -> str:
    return f"lpad({text}, 2, '0')" if len(token) == 1 else text


def _year(text: str, token: str, earliest: int | None) -> str:
    if token == "YYYY":
        return text
    first = earliest or 1900
    return f"({first} + (try_cast({text} as integer) - {first % 100} + 100) % 100)::varchar"
