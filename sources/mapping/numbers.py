"""Numbers as a bank writes them, as SQL: decimal and thousands signs, units, sides.

The result is text of the contract's form, exact to the last digit. A value of another form is
passed on, so that landing quarantines it; one that the contract would take for a number is marked,
too: `1.234` with a decimal comma is no 1.234.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sources.contract import RATE, REAL, Type
from sources.delimited import literal
from sources.grammar import PATTERNS

FACTORS = {
    "units": "1",
    "cents": "0.01",
    "percent": "0.01",
    "per_mille": "0.001",
    "basis_points": "0.0001",
    "thousand": "1000",
    "ten_thousand": "10000",
    "million": "1000000",
}
# Digits after the decimal sign that a multiplication keeps.
DECIMALS = 8
BLANKS = "[ \u00a0\u202f]"
ZERO = r"[+-]?0*([.]0*)?"


def as_number(text: str, kind: Type, decimal: str, thousands: str, percent: bool = False) -> str:
    """SQL: a text as a number of the contract's form; a trailing minus sign leads (`5.00-`), and a
    per cent sign is left out where `percent`."""
    if (decimal, thousands, percent) == (".", "", False):
        # The contract's own form, but for the trailing sign.
        number = r"[0-9]+([.][0-9]+)?|[.][0-9]+"
        fits = f"regexp_full_match({text}, {literal(f'({number})-')})"
        return f"case when {fits} then '-' || left({text}, -1) else {text} end"
    point, group = re.escape(decimal), BLANKS if thousands == " " else re.escape(thousands)
    whole = f"[0-9]{{1,3}}({group}[0-9]{{3}})+|[0-9]+" if thousands else "[0-9]+"
    exponent = "([eE][+-]?[0-9]+)?" if kind in (RATE, REAL) else ""
    number = f"(({whole})({point}[0-9]+)?|{point}[0-9]+){exponent}"
    sign = " ?%?" if percent else ""
    plain = f"regexp_replace({text}, {literal(f'{BLANKS}|%')}, '', 'g')"
    if thousands and thousands != " ":
        plain = f"replace({plain}, {literal(thousands)}, '')"
    if decimal != ".":
        plain = f"replace({plain}, {literal(decimal)}, '.')"
    shape = f"1{thousands}234{decimal}56"
    return (
        f"case when regexp_full_match({text}, {literal(f'[+-]?{number}{sign}')}) then {plain} "
        f"when regexp_full_match({text}, {literal(f'{number}-')}) then '-' || left({plain}, -1) "
        f"when regexp_full_match({text}, {literal(PATTERNS[kind])}) "
        f"then {literal(f'(not {shape}) ')} || {text} else {text} end"
    )


def times(text: str, kind: Type, unit: str) -> str:
    """SQL: a number in the unit (see `FACTORS`) as one of the contract's."""
    factor = FACTORS[unit]
    if factor == "1":
        return text
    exact = f"regexp_full_match({text}, {literal(PATTERNS[kind])}) and not regexp_matches({text}, "
    exact += f"{literal(f'[.][0-9]{{{DECIMALS + 1},}}')})"
    wide = f"try_cast({text} as decimal(24, {DECIMALS}))"
    scale = len(factor.partition(".")[2])
    exactly = f"{factor}::decimal({len(factor.replace('.', ''))}, {scale})"
    product = f"({wide} * {exactly})::decimal(38, 12)::varchar"
    # Most amounts in cents are short whole numbers: their product needs no trimming.
    whole = f"regexp_full_match({text}, '[+-]?[0-9]{{1,17}}')"
    return (
        f"case when {whole} then (try_cast({text} as decimal(18, 0)) * {exactly})::varchar "
        f"when {exact} and {wide} is not null then rtrim(rtrim({product}, '0'), '.') "
        f"when {text} is not null then '(not exact in {unit}) ' || {text} end"
    )


def negated(text: str) -> str:
    """SQL: a number with the opposite sign."""
    return f"case when {text}[1] = '-' then {text}[2:] else '-' || ltrim({text}, '+') end"


def by_side(text: str, side: str, credit: Sequence[str], debit: Sequence[str]) -> str:
    """SQL: an amount with the sign of its side; one of an unknown side is marked."""
    credits, debits = (", ".join(map(literal, codes)) for codes in (credit, debit))
    return (
        f"case when {side} in ({credits}) then {text} when {side} in ({debits}) "
        f"then {negated(text)} "
        f"when {text} is not null then '(' || coalesce({side}, 'no side') || ') ' || {text} end"
    )


def of_two(credit: str, debit: str) -> str:
    """SQL: the amount of two columns, of which one is empty or zero; two amounts are marked."""
    empty_credit, empty_debit = (
        f"({side} is null or regexp_full_match({side}, {literal(ZERO)}))"
        for side in (credit, debit)
    )
    return (
        f"case when {empty_debit} then coalesce({credit}, {debit}) "
        f"when {empty_credit} then {negated(debit)} "
        f"else '(credit and debit) ' || {credit} || ' / ' || {debit} end"
    )
