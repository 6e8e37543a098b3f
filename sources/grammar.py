"""How a value of the contract is written, as SQL: one grammar for every source and format.

DuckDB's own casts accept more than a bank means: `0x1F` is 31, `1_000.50` is 1000.50, `epoch` is a
date and `yes` is true. A value outside the grammar has no value here, and the `type` rule judges.
"""

from __future__ import annotations

from sources.contract import DAY, FLAG, MONEY, RATE, REAL, TEXT, WHOLE, Type

_NUMBER = r"[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)"
_EXPONENT = r"([eE][+-]?[0-9]+)?"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
# A time with a zone names a day only where it is midnight in UTC.
_MIDNIGHT_UTC = r"00:00(:00(\.0+)?)? ?(Z|UTC|[+]00(:?00)?)"
PATTERNS: dict[Type, str] = {
    DAY: rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T]({_TIME}|{_MIDNIGHT_UTC}))?",
    # No exponent: a spreadsheet that shows 1.23E+15 has dropped the other digits.
    MONEY: _NUMBER,
    WHOLE: _NUMBER,
    RATE: _NUMBER + _EXPONENT,
    REAL: _NUMBER + _EXPONENT,
    FLAG: r"(?i)true|false|1|0",
}
# What the type would round away: more than two places, any place.
_ROUGH: dict[Type, str] = {MONEY: r"\.[0-9]{2}[0-9]*[1-9]", WHOLE: r"\.[0-9]*[1-9]"}


def text_of(expression: str, kind: Type) -> str:
    """The value as text, NULL where empty. Spaces around a number, a date or a truth value are no
    part of it; those of a text are."""
    text = f"{expression}::varchar"
    return f"nullif({text}, '')" if kind == TEXT else f"nullif(trim({text}), '')"


def typed(text: str, kind: Type) -> str:
    """The value of a text (see `text_of`) in the contract's type, NULL where it has none."""
    if kind == TEXT:
        return text
    # Beyond the day the pattern has judged the text; the cast has still to refuse a 30 February.
    value = f"left({text}, 10)" if kind == DAY else text
    return f"case when {_matches(text, kind)} then try_cast({value} as {kind}) end"


def rounds(text: str, kind: Type) -> str:
    """Would the type round the text without a word (12.345 as money, 1.5 as a count)?"""
    if kind not in _ROUGH:
        return "false"
    return f"coalesce(regexp_matches({text}, '{_ROUGH[kind]}'), false)"


def _matches(text: str, kind: Type) -> str:
    return f"regexp_full_match({text}, '{PATTERNS[kind]}')"
