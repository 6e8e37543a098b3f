"""Figures as the pages show them: rounded here, in Decimal, and set by Babel.

Babel rounds halves to even and money is rounded away from zero, so Babel gets figures that are
rounded already. Nothing (None) is shown as a dash.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from textwrap import shorten
from typing import Any
from unicodedata import east_asian_width

from babel.dates import format_date
from babel.numbers import format_percent

ENGLISH = "en"
NOTHING = "–"
ACRONYMS = ("raroc",)
# A larger yearly return only means that hardly any capital is bound.
LARGEST_SHOWN_RETURN = 10
# A longer note of plain text is cut; the table that it is of has all of it.
LONGEST_NOTE = 160
MONTHS = {"en": "yyyy-MM", "zh": "yyyy年M月"}
DAYS = {"en": "yyyy-MM-dd", "zh": "yyyy年M月d日"}
PERCENT_SIGNS = {"en": " %", "zh": "%"}
# Sizes of an axis, the largest first.
SIZES = {
    "en": ((1e9, "bn"), (1e6, "m"), (1e3, "k")),
    "zh": ((1e8, "亿"), (1e4, "万")),
}


def _pattern(places: int) -> str:
    return f"#,##0.{'0' * places}" if places else "#,##0"


def _rounded(value: Decimal, places: int) -> str:
    # As Babel writes it in both languages, in a twentieth of the time: lists hold every customer.
    return f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,f}"


def exact(value: Decimal | None, language: str = ENGLISH) -> str:
    """Money to the cent."""
    return NOTHING if value is None else _rounded(value, 2)


def whole(value: Decimal | None, language: str = ENGLISH) -> str:
    """Money without the cents."""
    return NOTHING if value is None else _rounded(value, 0)


def money(value: Decimal | None, language: str = ENGLISH) -> str:
    """Money; without the cents from a thousand on."""
    if value is None or abs(value) < 1000:
        return exact(value, language)
    return whole(value, language)


def percent(share: float | Decimal | None, places: int = 1, language: str = ENGLISH) -> str:
    """A share."""
    if share is None:
        return NOTHING
    # Adding zero turns a rounded -0.0 into 0.0.
    hundredths = Decimal(f"{round(100 * float(share), places) + 0.0:.{places}f}")
    pattern = _pattern(places) + PERCENT_SIGNS[language]
    return format_percent(hundredths.scaleb(-2), pattern, language)


def rate(value: Decimal | None, language: str = ENGLISH) -> str:
    """A yearly rate."""
    return percent(value, 2, language)


def return_on_capital(raroc: float | None, language: str = ENGLISH) -> str:
    """A yearly return; beyond a bound only the side on which it lies."""
    if raroc is None or abs(raroc) <= LARGEST_SHOWN_RETURN:
        return percent(raroc, 1, language)
    bound = percent(LARGEST_SHOWN_RETURN, 0, language)
    return f"> {bound}" if raroc > 0 else f"< -{bound}"


def price_floor(row: Mapping[str, Any] | None, language: str = ENGLISH) -> str:
    """A rate in percent or a fee; a star where the costs of all tiers were used instead."""
    if row is None or row["no_floor_reason"]:
        return NOTHING
    fee = row["annual_rate"] is None
    shown = exact(row["monthly_fee"], language) if fee else rate(row["annual_rate"], language)
    return f"{shown}{'*' if row['basis'] == 'product' else ''}"


def count(number: int | None, language: str = ENGLISH) -> str:
    return NOTHING if number is None else f"{number:,}"


def expected_count(number: float | None, language: str = ENGLISH) -> str:
    """A number of customers or events that is expected: to one decimal."""
    return NOTHING if number is None else _rounded(Decimal(str(number)), 1)


def month(day: date | None, language: str = ENGLISH) -> str:
    return NOTHING if day is None else format_date(day, MONTHS[language], language)


def figure(value: Any, language: str = ENGLISH) -> str:
    """A measurement of any size, to four digits or so; a date as a month or a day."""
    if value is None:
        return NOTHING
    if isinstance(value, date):
        return format_date(value, (MONTHS if value.day == 1 else DAYS)[language], language)
    number = float(value)
    if number == int(number) or abs(number) >= 10_000:
        return f"{number:,.0f}"
    return f"{number:,.2f}" if abs(number) >= 10 else f"{number:.4g}"


def plain(value: Any, language: str = ENGLISH) -> str:
    """A value with all its places; text as it is."""
    if value is None:
        return NOTHING
    if isinstance(value, date):
        return format_date(value, DAYS[language], language)
    if isinstance(value, Decimal):
        return _rounded(value, -int(value.as_tuple().exponent))
    return count(value, language) if isinstance(value, int) else str(value)


def titled(key: str) -> str:
    """A key as a title: `economic_profit` → "Economic profit"."""
    if key in ACRONYMS:
        return key.upper()
    return key[:1].upper() + key[1:].replace("_", " ")


def padded(text: Any, width: int) -> str:
    """Text of at least so many columns of a terminal; of a negative width it stands at the right.
    A Chinese sign takes two columns."""
    shown = str(text)
    blanks = " " * (abs(width) - columns_of(shown))
    return shown + blanks if width > 0 else blanks + shown


def columns_of(text: str) -> int:
    """The columns of a terminal that a text takes."""
    return sum(1 + (east_asian_width(sign) in "WF") for sign in text)


def shortened(text: str) -> str:
    return shorten(text, LONGEST_NOTE, placeholder=" …")
