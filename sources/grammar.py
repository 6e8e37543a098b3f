"""The text forms of contract values, as SQL: one grammar for every source and format.

DuckDB's own casts accept too much: `0x1F` is 31, `1_000.50` is 1000.50, `epoch` is a date and `yes`
is true. A text outside the grammar is NULL here and breaks the rule `type`.
"""

from __future__ import annotations

from sources.contract import DAY, FLAG, MONEY, RATE, REAL, TEXT, WHOLE, Type

_NUMBER = r"[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)"
_EXPONENT = r"([eE][+-]?[0-9]+)?"
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
# A time with a zone is accepted only at midnight in UTC, where it identifies a day.
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
# Digits that the type would round: beyond two decimals, any decimals.
_ROUGH: dict[Type, str] = {MONEY: r"\.[0-9]{2}[0-9]*[1-9]", WHOLE: r"\.[0-9]*[1-9]"}


def text_of(expression: str, kind: Type) -> str:
    """The value as text, NULL if empty; numbers, dates and truth values are trimmed."""
    text = f"{expression}::varchar"
    return f"nullif({text}, '')" if kind == TEXT else f"nullif(trim({text}), '')"


def typed(text: str, kind: Type) -> str:
    """The value of a text (see `text_of`) in the contract's type, NULL if it does not match."""
    if kind == TEXT:
        return text
    # The pattern checks what follows the day; the cast rejects a 30 February.
    value = f"left({text}, 10)" if kind == DAY else text
    return f"case when {_matches(text, kind)} then try_cast({value} as {kind}) end"


def rounds(text: str, kind: Type) -> str:
    """SQL: whether the type would round the text silently (12.345 as money, 1.5 as a count)."""
    if kind not in _ROUGH:
        return "false"
    return f"coalesce(regexp_matches({text}, '{_ROUGH[kind]}'), false)"


def _matches(text: str, kind: Type) -> str:
    return f"regexp_full_match({text}, '{PATTERNS[kind]}')"
