"""What the columns of a file hold: dates of which formats, numbers, few values, a key.

Formats show in the first rows; a code may be in one row of millions, so codes are counted in all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from sources import codes
from sources.contract import DAY, MONEY
from sources.delimited import literal, quoted
from sources.grammar import typed
from sources.mapping.dates import SERIAL, as_iso, is_two_digit, pattern
from sources.mapping.numbers import as_number
from sources.mapping.proposal.synonyms import null_words
from sources.mapping.values import BLANKS

ROWS, LEAST_ROWS = 10_000, 500
MOST_VALUES = 60
# Codes of a column that are named; the rest is counted.
MOST_CODES = 100
LEAST = 0.98
# In the order of preference, where several fit.
DATES = (
    *("YYYYMMDD", "YYYY-MM-DD", "YYYY/MM/DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY"),
    *("DD-MM-YYYY", "YYYY年MM月DD日", "DD-MON-YYYY", "DD-MON-YY", "YYYYMMDDhhmmss", "YYYYMM"),
    *("YYYY/M/D", "D.M.YYYY", "D/M/YYYY", "M/D/YYYY", "YYMMDD"),
)
NUMBERS = ((".", ""), (".", ","), (",", "."), (",", ""), (",", " "), (".", "'"))
NUMERIC = re.compile(r"[+-]?[\d.,' \u00a0\u202f]*\d[\d.,' \u00a0\u202f]*-?")
EARLIEST_YEAR = 1930
# Values looked at first.
FEW = 200


@dataclass(frozen=True)
class Profile:
    """One column's first rows; of one that holds codes all rows (`with_all_codes`).

    `dates` are the formats that nearly all values fit, `number` the decimal and thousands signs,
    `odd` the share of numbers that are no whole hundreds, `counts` rows by value where there are
    few, `others` the values that `counts` leaves out, `nulls` values that seem to mean unknown, and
    `is_key` whether each row of one file has a value of its own.
    """

    name: str
    rows: int
    values: int
    distinct: int
    is_key: bool = False
    dates: tuple[str, ...] = ()
    number: tuple[str, str] | None = None
    low: float | None = None
    high: float | None = None
    whole: bool = False
    odd: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)
    others: int = 0
    nulls: tuple[str, ...] = ()

    @property
    def empty(self) -> int:
        """Rows without a value."""
        return self.rows - self.values


def profiles_of(
    connection: duckdb.DuckDBPyConnection, relations: Sequence[str], names: tuple[str, ...]
) -> dict[str, Profile]:
    """The profile of each column of queries of text columns, one for each file of a pattern, from
    the first rows of each: `ROWS` of all, and at least `LEAST_ROWS` of each."""
    rows = max(ROWS // len(relations), LEAST_ROWS)
    cleaned = ", ".join(f"{_cleaned(name)} as {quoted(name)}" for name in names)
    sample = " union all ".join(
        f"(select {number} as _file, {cleaned} from ({relation}) limit {rows})"
        for number, relation in enumerate(relations)
    )
    connection.register("mapping_sample", connection.sql(sample).to_arrow_table())
    try:
        return {name: _profile(connection, name) for name in names}
    finally:
        connection.unregister("mapping_sample")


def with_all_codes(
    connection: duckdb.DuckDBPyConnection, relation: str, profile: Profile
) -> Profile:
    """The profile with the values of all rows of a query: the `MOST_CODES` most frequent, and how
    many others there are."""
    most = MOST_CODES + len(null_words())
    found = codes.counted(connection, relation, _cleaned(profile.name), most)
    unknown = {value: rows for value, rows in found.counts.items() if value in null_words()}
    known = [(value, rows) for value, rows in found.counts.items() if value not in unknown]
    named = dict(known[:MOST_CODES])
    return replace(
        profile,
        rows=found.rows,
        values=found.rows - found.empty - sum(unknown.values()),
        distinct=found.values - len(unknown),
        counts=named,
        others=found.values - len(unknown) - len(named),
        nulls=tuple(sorted(unknown)),
    )


def _cleaned(name: str) -> str:
    return f"nullif(trim({quoted(name)}::varchar, {literal(BLANKS)}), '')"


def _profile(connection: duckdb.DuckDBPyConnection, name: str) -> Profile:
    column = quoted(name)
    unknown = ", ".join(map(literal, null_words()))
    # A look at a few values spares most of the figures.
    few = [
        value
        for (value,) in connection.execute(
            f"select distinct {column} from mapping_sample where {column} is not null limit {FEW}"
        ).fetchall()
    ]
    forms = [form for form in DATES if any(re.fullmatch(pattern(form), one) for one in few)]
    signs = [one for one in NUMBERS if any(map(NUMERIC.fullmatch, few))]
    landed = [typed(as_number("v", MONEY, *one), MONEY) for one in signs]
    figures = [
        "count(v)",
        "count(distinct v)",
        "count(*) = count(distinct (_file, v)) filter (v is not null)",
        f"if(count(distinct v) <= {MOST_VALUES}, histogram(v), null)",
        "count(*) filter (where regexp_full_match(v, '[0-9]{5}([.][0-9]+)?'))",
        *(f"count({typed(as_iso('v', [form], EARLIEST_YEAR), DAY)})" for form in forms),
        *(f"count({number})" for number in landed),
    ]
    ((rows, nulls, *found),) = connection.execute(
        f"select count(*), list(distinct {column}) filter (where {column} in ({unknown})), "
        f"{', '.join(figures)} from (select *, if({column} in ({unknown}), null, {column}) as v "
        "from mapping_sample)"
    ).fetchall()
    values, distinct, is_key, counts, serials, *fits = found
    enough = max(LEAST * values, 1)
    dates = tuple(form for form, fit in zip(forms, fits, strict=False) if fit >= enough)
    if not dates and serials >= enough:
        dates = (SERIAL,)
    numbers = zip(signs, landed, fits[len(forms) :], strict=True)
    number = next(((one, sql) for one, sql, fit in numbers if fit >= enough), None)
    low, high, odd = None, None, 0.0
    whole = False
    if number is not None:
        ((low, high, whole, odd),) = connection.execute(
            "select min(n)::double, max(n)::double, bool_and(n = trunc(n)), "
            "avg((n % 100 <> 0)::integer) "
            f"from (select {number[1]} as n from (select {column} as v from mapping_sample))"
        ).fetchall()
    return Profile(
        name,
        rows,
        values,
        distinct,
        is_key=is_key and rows > 0,
        dates=dates,
        number=number[0] if number else None,
        low=low,
        high=high,
        whole=bool(whole),
        odd=odd or 0.0,
        counts=dict(counts or {}),
        nulls=tuple(sorted(nulls or ())),
    )


def is_ambiguous(dates: tuple[str, ...]) -> bool:
    """Whether the values fit two formats that mean different days."""
    orders = {form[0] for form in dates if "/" in form and not is_two_digit(form)}
    return len(orders & {"D", "M"}) > 1
