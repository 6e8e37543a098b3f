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
from sources.message import Message, sentences

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
    TEXT: Message("Write it as text."),
    DAY: Message("Write dates as YYYY-MM-DD."),
    MONEY: Message(
        "Write amounts with a decimal point, two places, no thousands separator; in Parquet as "
        "DECIMAL(18,2)."
    ),
    RATE: Message("Write rates as decimals a year: 0.025 for 2.5 %."),
    WHOLE: Message("Write whole numbers."),
    REAL: Message("Write numbers with a decimal point."),
    FLAG: Message("Write true or false."),
}
# What is wrong and what to do.
LINKED = (
    Message("is a link to a file outside of the delivery: expected a file"),
    Message("Deliver the file itself."),
)
PATTERNED = Message("has *, ? or [ in its path"), Message("Rename it.")
TWICE = Message("is delivered twice"), Message("Name each column once.")
RESERVED_NAME = Message("has a reserved name"), Message("Rename it.")
SPLIT = Message("Quote values that hold a comma, a quote or a line break.")
# Values that no list allows, of one column of one file.
MOST_CODES = 500


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
                Message("is of type {0}: expected {1}", kind, column.type),
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
    for _, text, good in judged:
        bad = f"filter (where {text} is not null and not {good})"
        figures += [f"count({text})", f"count(*) {bad}"]
    rows, malformed, reason, *found = connection.execute(
        f"select {', '.join(figures)} from (select * from ({relation}) limit {SAMPLE})"
    ).fetchall()[0]
    if malformed > MOST * rows:
        share = f"{malformed:,}", f"{rows:,}"
        what = Message("{0} of {1} rows cannot be split into the header's columns", *share)
        if split:
            what = Message("{0} of {1} rows cannot be read: {2}", *share, reason)
        yield Problem(file.label, "", what, split or SPLIT)
    for (column, text, good), values, bad_values in zip(
        judged, found[::2], found[1::2], strict=True
    ):
        if bad_values > MOST * values:
            if not column.values:
                yield Misfit(file, column, values, bad_values)
                continue
            begin = f"if({good}, null, left({text}, {codes.LONGEST_SHOWN + 1}))"
            of_column = f"select * from ({relation}) where {text} is not null"
            every = codes.counted(connection, of_column, begin, MOST_CODES)
            yield Misfit(file, column, every.rows, every.rows - every.empty, every.counts)


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
            Message(
                "holds instants (a timestamp with time zone): {0} of {1} are not midnight in UTC, "
                "so their day depends on a time zone",
                *(f"{within:,}", f"{given:,}"),
            ),
            Message("Write the bank's own day as DATE."),
        )


def misfit_problems(misfits: list[Misfit], cure: Cure | None = None) -> Iterator[Problem]:
    """One problem per column, however many files have it."""
    by_column: dict[Column, list[Misfit]] = defaultdict(list)
    for misfit in misfits:
        by_column[misfit.column].append(misfit)
    for column, found in by_column.items():
        values, bad = sum(one.values for one in found), sum(one.bad for one in found)
        share: str = Message("{0} of {1} values", f"{bad:,}", f"{values:,}")
        if len(found) > 1:
            share = Message("{0} in {1} files", share, f"{len(found):,}")
        seen: Counter[str] = Counter()
        for one in found:
            seen.update(one.codes or {})
        if column.values:
            table = found[0].file.table
            most = {"most": codes.MOST_OF_A_CHECK, "values": values}
            described = codes.describe(seen, column.values, personal=table.personal, **most)
            what = Message("{0} are not allowed: {1}", share, described)
            usual: str = Message("Map each to one of {0}.", codes.listed(column.values))
            seen = Counter(codes.shareable(seen, values=values, personal=table.personal))
        else:
            what = Message("{0} are invalid: expected {1}", share, column.type)
            swapped = Message("Check whether columns are swapped.")
            usual = sentences(HOW_TO_WRITE[column.type], swapped)
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
            what, cure = Message("is empty (0 bytes)"), Message("Deliver the file again.")
        else:
            what, cure = Message("has no rows"), Message("Deliver the table with its rows.")
        yield Problem(first.label, "", what, cure)


def unstamped(files: list[DeliveredFile], cure: str) -> Iterator[Problem]:
    """The problem of a master's extract without a month beside extracts of months."""
    if len({file.stamp is None for file in files}) > 1:
        bare = next(file for file in files if file.stamp is None)
        what = Message("has no month in its path while other extracts of the table do")
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
                Message("has the same content as {0}: delivered twice", first[same].label),
                Message("Remove one of the two."),
            )
        first.setdefault(same, file)
