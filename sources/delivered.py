"""Delivered files and what their values show: other types, codes that are not allowed, repetitions.

Both sources of a bank's own files judge them by these rules (`files`, `mapping`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from sources import codes
from sources.contract import DAY, FLAG, MONEY, RATE, REAL, TEXT, WHOLE, Column, Table
from sources.delimited import Inspection, literal, quoted
from sources.grammar import text_of, typed
from sources.interface import Problem

SAMPLE = 10_000
MOST = 0.5

_NUMBERS = r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL.*"
_FLOATS = r"FLOAT|DOUBLE"
ZONED = re.compile(r"TIMESTAMP WITH TIME ZONE|TIMESTAMPTZ.*")
# Parquet types that can become the contract's type; text is checked by its values. Money must not
# be a float: FLOAT's seven digits lose cents before the file is read, and a DOUBLE does not show
# whether cents were lost.
ACCEPTED = {
    TEXT: re.compile(rf"VARCHAR|{_NUMBERS}|DATE|BOOLEAN|UUID|ENUM.*"),
    DAY: re.compile(r"VARCHAR|DATE|TIMESTAMP.*"),
    MONEY: re.compile(rf"VARCHAR|{_NUMBERS}"),
    RATE: re.compile(rf"VARCHAR|{_NUMBERS}|{_FLOATS}"),
    WHOLE: re.compile(rf"VARCHAR|{_NUMBERS}|{_FLOATS}"),
    REAL: re.compile(rf"VARCHAR|{_NUMBERS}|{_FLOATS}"),
    FLAG: re.compile(r"VARCHAR|BOOLEAN|U?(TINY|SMALL|BIG)INT|U?INTEGER"),
}
HOW_TO_WRITE = {
    TEXT: "Write it as text.",
    DAY: "Write dates as YYYY-MM-DD.",
    MONEY: "Write amounts with a decimal point, two places, no thousands separator; in Parquet as "
    "DECIMAL(18,2).",
    RATE: "Write rates as decimals a year: 0.025 for 2.5 %.",
    WHOLE: "Write whole numbers.",
    REAL: "Write numbers with a decimal point.",
    FLAG: "Write true or false.",
}
SPLIT = "Quote values that hold a comma, a quote or a line break."


@dataclass(frozen=True)
class DeliveredFile:
    """One file of a table; `stamp` is the extract's month, `partition` the columns and values from
    its folders' names."""

    table: Table
    path: Path
    label: str
    stamp: date | None
    partition: tuple[tuple[str, str], ...] = ()

    @property
    def is_csv(self) -> bool:
        return self.path.suffix.lower() != ".parquet"


@dataclass(frozen=True)
class Misfit:
    """A column of a file whose values are mostly of another type, or mostly not allowed (then
    `codes` has the rows of each)."""

    file: DeliveredFile
    column: Column
    values: int
    bad: int
    codes: Mapping[str, int] | None = None


# The cure of values that do not fit, from what was found of a column in all files.
Cure = Callable[[Column, Mapping[str, int]], str]


def judge_values(
    connection: duckdb.DuckDBPyConnection,
    file: DeliveredFile,
    relation: str,
    kinds: Mapping[str, str],
    split: str | None = None,
) -> Iterator[Problem | Misfit]:
    """Problems of the first rows: most rows malformed, most values of another type or not allowed.

    Parameters
    ----------
    relation
        The file as a query (see `SourceFile`).
    kinds
        Its columns, by the contract's names, with their types.
    split
        The cure of rows that cannot be read, where other reasons than the delimiter are possible.
    """
    judged: list[tuple[Column, str, str]] = []
    for name, kind in kinds.items():
        column = file.table.column(name)
        text = text_of(quoted(name), column.type)
        if not ACCEPTED[column.type].fullmatch(kind):
            yield Problem(
                file.label,
                name,
                f"is of type {kind}: expected {column.type}",
                HOW_TO_WRITE[column.type],
            )
        elif ZONED.fullmatch(kind):
            yield from _zone_problems(connection, file, relation, name)
        elif column.values:
            allowed = ", ".join(literal(value) for value in column.values)
            judged.append((column, text, f"{text} in ({allowed})"))
        elif column.type != TEXT and kind == "VARCHAR":
            judged.append((column, text, f"{typed(text, column.type)} is not null"))
    marked = "_malformed" if file.is_csv or split else "null::varchar"
    figures = ["count(*)", f"count({marked})", f"mode({marked})"]
    for column, text, good in judged:
        bad = f"filter (where {text} is not null and not {good})"
        seen = f"histogram(left({text}, {codes.LONGEST_SHOWN + 1})) {bad}"
        figures += [f"count({text})", f"count(*) {bad}", seen if column.values else "null"]
    rows, malformed, reason, *found = connection.execute(
        f"select {', '.join(figures)} from (select * from ({relation}) limit {SAMPLE})"
    ).fetchall()[0]
    if malformed > MOST * rows:
        why = f"read: {reason}" if split else "split into the header's columns"
        what = f"{malformed:,} of {rows:,} rows cannot be {why}"
        yield Problem(file.label, "", what, split or SPLIT)
    for (column, _, _), values, bad_values, seen in zip(
        judged, found[::3], found[1::3], found[2::3], strict=True
    ):
        if bad_values > MOST * values:
            yield Misfit(file, column, values, bad_values, seen)


def _zone_problems(
    connection: duckdb.DuckDBPyConnection, file: DeliveredFile, relation: str, name: str
) -> Iterator[Problem]:
    """Refuse instants other than midnight in UTC: their day depends on a time zone, which the file
    does not contain."""
    times = f"epoch_us({quoted(name)}::timestamptz)"
    given, within = connection.execute(
        f"select count({times}), count(*) filter (where {times} % 86400000000 <> 0) "
        f"from ({relation})"
    ).fetchall()[0]
    if within:
        yield Problem(
            file.label,
            name,
            f"holds instants (a timestamp with time zone): {within:,} of {given:,} are not "
            "midnight in UTC, so their day depends on a time zone",
            "Write the bank's own day as DATE.",
        )


def misfit_problems(misfits: list[Misfit], cure: Cure | None = None) -> Iterator[Problem]:
    """One problem per column, however many files have it."""
    by_column: dict[Column, list[Misfit]] = defaultdict(list)
    for misfit in misfits:
        by_column[misfit.column].append(misfit)
    for column, found in by_column.items():
        values, bad = sum(one.values for one in found), sum(one.bad for one in found)
        more = f" in {len(found):,} files" if len(found) > 1 else ""
        seen: Counter[str] = Counter()
        for one in found:
            seen.update(one.codes or {})
        if column.values:
            table = found[0].file.table
            listed = codes.describe(seen, column.values, values=values, personal=table.personal)
            what = f"{bad:,} of {values:,} values{more} are not allowed: {listed}"
            usual = f"Map each to one of {codes.listed(column.values)}."
        else:
            what = f"{bad:,} of {values:,} values{more} are invalid: expected {column.type}"
            usual = f"{HOW_TO_WRITE[column.type]} Check whether columns are swapped."
        yield Problem(found[0].file.label, column.name, what, cure(column, seen) if cure else usual)


def emptiness(
    table: Table,
    files: list[DeliveredFile],
    full: list[DeliveredFile],
    empty: list[DeliveredFile],
) -> Iterator[Problem]:
    """Problems of a required table without rows, or of a month's extract without rows; an empty
    file is fine if another of the same extract has rows."""
    if not table.required:
        return
    stamps = {file.stamp for file in full}
    for stamp in {file.stamp: None for file in files if file.stamp not in stamps}:
        first = next(file for file in empty if file.stamp == stamp)
        if first.path.stat().st_size == 0:
            yield Problem(first.label, "", "is empty (0 bytes)", "Deliver the file again.")
        else:
            yield Problem(first.label, "", "has no rows", "Deliver the table with its rows.")


def unstamped(files: list[DeliveredFile], cure: str) -> Iterator[Problem]:
    """The problem of a master's extract without a month beside extracts of months."""
    if len({file.stamp is None for file in files}) > 1:
        bare = next(file for file in files if file.stamp is None)
        what = "has no month in its path while other extracts of the table do"
        yield Problem(bare.label, "", what, cure)


def delivered_twice(
    table: Table, inspected: list[tuple[DeliveredFile, Inspection]]
) -> Iterator[Problem]:
    """Files with the same bytes. A master may be unchanged from month to month, but not repeated
    within one."""
    first: dict[tuple[str, date | None], DeliveredFile] = {}
    for file, inspection in inspected:
        if inspection.size == 0:
            continue
        same = (inspection.sha256, None if table.event else file.stamp)
        if same in first:
            yield Problem(
                file.label,
                "",
                f"has the same content as {first[same].label}: delivered twice",
                "Remove one of the two.",
            )
        first.setdefault(same, file)
