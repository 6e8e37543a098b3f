"""A bank's own files in the contract's layout: CSV (UTF-8, header) or Parquet.

`<table>.csv`, `<table>.parquet`, or a folder `<table>/` of either, at any depth. A `YYYY-MM` in the
path below the table's folder stamps a master's extract (`customer/2024-03.parquet`,
`customer/month=2024-03/part-0.csv`); for events it is only a name, their dates say the month.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import duckdb

from orchestration.sources.bookings import first_booking_month
from orchestration.sources.contract import (
    BY_NAME,
    DAY,
    FLAG,
    MONEY,
    RATE,
    REAL,
    TABLES,
    TEXT,
    WHOLE,
    Column,
    Table,
)
from orchestration.sources.delimited import (
    RESERVED,
    DelimitedReader,
    Inspection,
    inspect_bytes,
    literal,
    quoted,
    read_header,
)
from orchestration.sources.interface import Problem, SourceFile

FORMATS = (".csv", ".parquet")
STAMP = re.compile(r"(?<!\d)(\d{4})-(0[1-9]|1[0-2])(?!\d)")
OTHER_DELIMITERS = {";": "semicolons (;)", "\t": "tabs", "|": "bars (|)"}
SAMPLE = 10_000
MOST = 0.5

_NUMBERS = r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL.*"
_FLOATS = r"FLOAT|DOUBLE"
# Parquet types that can become the contract's type; text is judged by its values.
ACCEPTED = {
    TEXT: re.compile(rf"VARCHAR|{_NUMBERS}|DATE|BOOLEAN|UUID|ENUM.*"),
    DAY: re.compile(r"VARCHAR|DATE|TIMESTAMP.*"),
    MONEY: re.compile(rf"VARCHAR|{_NUMBERS}|{_FLOATS}"),
    RATE: re.compile(rf"VARCHAR|{_NUMBERS}|{_FLOATS}"),
    WHOLE: re.compile(rf"VARCHAR|{_NUMBERS}|{_FLOATS}"),
    REAL: re.compile(rf"VARCHAR|{_NUMBERS}|{_FLOATS}"),
    FLAG: re.compile(r"VARCHAR|BOOLEAN|U?(TINY|SMALL|BIG)INT|U?INTEGER"),
}
HOW_TO_WRITE = {
    TEXT: "Write it as text.",
    DAY: "Write dates as YYYY-MM-DD.",
    MONEY: "Write amounts with a decimal point, two places, no thousands separator.",
    RATE: "Write rates as decimals a year: 0.025 for 2.5 %.",
    WHOLE: "Write whole numbers.",
    REAL: "Write numbers with a decimal point.",
    FLAG: "Write true or false.",
}


@dataclass(frozen=True)
class DeliveredFile:
    """One file of a table; `stamp` is the extract's month."""

    table: Table
    path: Path
    label: str
    stamp: date | None

    @property
    def is_csv(self) -> bool:
        return self.path.suffix.lower() == ".csv"


class DeliveredFiles:
    """The source `files`.

    Parameters
    ----------
    path
        The delivery's folder.
    """

    name = "files"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = DelimitedReader(",")

    @property
    def identity(self) -> str:
        return f"files:{self.path.resolve()}"

    def first_month(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The month of the first booking."""
        return first_booking_month(connection, self)

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Nothing to do: the bank has delivered."""

    def problems(self, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
        """Everything that makes the delivery unreadable or plainly wrong, all at once."""
        if not self.path.is_dir():
            return [
                Problem(
                    str(self.path),
                    "",
                    "is not a folder" if self.path.exists() else "does not exist",
                    "Set SOURCE_PATH (JINGXI_SOURCE_PATH) to the folder with the delivered files.",
                )
            ]
        delivered = self._delivered
        found: list[Problem] = []
        for table in TABLES:
            if table.name in delivered:
                found += self._table_problems(connection, table, delivered[table.name])
            elif table.required:
                found.append(self._missing_table(table))
        return found

    def notes(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """What is not there or not read, and what that switches off; one line each."""
        delivered, lines = self._delivered, []
        for table in TABLES:
            if table.name not in delivered:
                if not table.required:
                    lines.append(f"no `{table.name}`: without {table.without_it}")
                continue
            given = [self._columns(connection, file) for file in delivered[table.name]]
            lacking = [name for name in table.column_names if not any(name in g for g in given)]
            if lacking:
                lines.append(f"`{table.name}` comes without {_listed(lacking)}: read as unknown")
            for file, names in zip(delivered[table.name], given, strict=True):
                unknown = [given for name, given in names.items() if name not in table.column_names]
                if unknown:
                    lines.append(f"{file.label}: column(s) {_listed(unknown)} are not read")
        lines += [f"{label}: not read, it is no table of the contract" for label in self._unknown]
        return lines

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        return [
            self._source_file(connection, file)
            for files in self._delivered.values()
            for file in files
        ]

    @cached_property
    def _delivered(self) -> dict[str, list[DeliveredFile]]:
        return self._walk[0]

    @cached_property
    def _unknown(self) -> list[str]:
        return self._walk[1]

    @cached_property
    def _walk(self) -> tuple[dict[str, list[DeliveredFile]], list[str]]:
        tables: dict[str, list[DeliveredFile]] = defaultdict(list)
        unknown: list[str] = []
        for path in sorted(path for path in self.path.rglob("*") if path.is_file()):
            below = path.relative_to(self.path)
            if any(part.startswith((".", "_")) for part in below.parts):
                continue
            name = below.parts[0] if len(below.parts) > 1 else below.stem
            if name in BY_NAME and below.suffix.lower() in FORMATS:
                found = STAMP.search(Path(*below.parts[1:]).as_posix()) if below.parts[1:] else None
                stamp = date(int(found[1]), int(found[2]), 1) if found else None
                if BY_NAME[name].event:
                    stamp = None
                tables[name].append(DeliveredFile(BY_NAME[name], path, below.as_posix(), stamp))
            else:
                unknown.append(below.as_posix())
        return dict(tables), unknown

    def _missing_table(self, table: Table) -> Problem:
        tops = sorted({label.split("/")[0] for label in self._unknown})
        stems = {top.split(".")[0]: top for top in tops}
        near = difflib.get_close_matches(table.name, stems, n=1, cutoff=0.7)
        guess = f" Did you mean {stems[near[0]]}?" if near else ""
        return Problem(
            f"{table.name}.csv",
            "",
            "a required table is missing",
            f"Deliver {table.name}.csv, {table.name}.parquet or a folder {table.name}/ of them."
            + guess,
        )

    def _table_problems(
        self, connection: duckdb.DuckDBPyConnection, table: Table, files: list[DeliveredFile]
    ) -> list[Problem]:
        found: list[Problem] = []
        inspected: list[tuple[DeliveredFile, Inspection]] = []
        for file in files:
            inspection = inspect_bytes(file.path, text=file.is_csv)
            inspected.append((file, inspection))
            found += self._file_problems(connection, file, inspection)
        if len({file.is_csv for file in files}) > 1:
            csv, parquet = (next(f for f in files if f.is_csv is kind) for kind in (True, False))
            found.append(
                Problem(
                    csv.label,
                    "",
                    f"{table.name} is delivered both as CSV and as Parquet ({parquet.label})",
                    "Deliver one of the two.",
                )
            )
        if len({file.stamp is None for file in files}) > 1:
            bare = next(file for file in files if file.stamp is None)
            found.append(
                Problem(
                    bare.label,
                    "",
                    "carries no month while other extracts of the table do",
                    "Put the month (YYYY-MM) into the name of each extract, or of none.",
                )
            )
        found += _delivered_twice(table, inspected)
        return found

    def _file_problems(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile, inspection: Inspection
    ) -> Iterator[Problem]:
        def problem(what: str, cure: str, column: str = "") -> Problem:
            return Problem(file.label, column, what, cure)

        if any(mark in str(file.path) for mark in "*?["):
            yield problem("has *, ? or [ in its path", "Rename it.")
            return
        if inspection.size == 0:
            yield problem("is empty (0 bytes)", "Deliver the file again.")
            return
        if inspection.encoding_fault is not None:
            yield problem(inspection.encoding_fault, "Save it as UTF-8 and deliver it again.")
            return
        if file.is_csv:
            header = read_header(file.path, ",")
            if not header:
                yield problem("has no header in its first line", "Begin with the column names.")
                return
            if len(header) == 1:
                for mark, word in OTHER_DELIMITERS.items():
                    if mark in header[0]:
                        yield problem(
                            f"is delimited by {word}, not by commas",
                            "Export it with commas as delimiter.",
                        )
                        return
            twice = [n for n, count in Counter(n.lower() for n in header).items() if count > 1]
            for name in twice:
                yield problem("stands twice in the header", "Name each column once.", name)
            reserved = [name for name in header if name.lower() in RESERVED]
            for name in reserved:
                yield problem("has a name that is kept for row numbers", "Rename it.", name)
            if twice or reserved:
                return
        else:
            try:
                connection.execute(f"select * from read_parquet({literal(file.path)}) limit 0")
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                yield problem(f"cannot be read: {reason}", "Deliver the file again, whole.")
                return
        names = self._columns(connection, file)
        unknown = [given for name, given in names.items() if name not in file.table.column_names]
        for name in file.table.required_columns:
            if name not in names:
                near = difflib.get_close_matches(name, [u.lower() for u in unknown], n=1)
                guess = f" Did you mean it by {near[0]}?" if near else ""
                yield problem(
                    "a required column is missing", f"Add the column {name}.{guess}", name
                )
        try:
            yield from self._value_problems(connection, file)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            yield problem(f"cannot be read: {reason}", "Deliver the file again, whole.")

    def _value_problems(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile
    ) -> Iterator[Problem]:
        """Judged on the first rows: no rows, most rows broken, most values of another kind."""
        source = self._source_file(connection, file)
        kinds = {
            name: kind
            for name, kind, *_ in connection.execute(f"describe {source.relation}").fetchall()
        }
        judged: list[tuple[Column, str, str]] = []
        for name in source.columns:
            column = file.table.column(name)
            if not ACCEPTED[column.type].fullmatch(kinds[name]):
                yield Problem(
                    file.label,
                    name,
                    f"is of type {kinds[name]}, which is no {column.type}",
                    HOW_TO_WRITE[column.type],
                )
                continue
            text = f"nullif({quoted(name)}::varchar, '')"
            if column.type != TEXT and kinds[name] == "VARCHAR":
                judged.append((column, text, f"try_cast({text} as {column.type}) is not null"))
        counts = ["count(*)", "count(_malformed)" if file.is_csv else "0"]
        for _, text, good in judged:
            counts += [f"count({text})", f"count(*) filter (where {text} is not null and {good})"]
        rows, malformed, *pairs = connection.execute(
            f"select {', '.join(counts)} from (select * from ({source.relation}) limit {SAMPLE})"
        ).fetchall()[0]
        if rows == 0 and file.table.required:
            yield Problem(file.label, "", "has no rows", "Deliver the table with its rows.")
        if malformed > MOST * rows:
            yield Problem(
                file.label,
                "",
                f"{malformed:,} of {rows:,} rows cannot be split into the header's columns",
                "Quote values that hold a comma, a quote or a line break.",
            )
        for (column, _, _), given, good in zip(judged, pairs[::2], pairs[1::2], strict=True):
            if given - good > MOST * given:
                yield Problem(
                    file.label,
                    column.name,
                    f"{given - good:,} of {given:,} values are no {column.type}; "
                    "are columns swapped?",
                    HOW_TO_WRITE[column.type],
                )

    def _columns(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile
    ) -> dict[str, str]:
        """Contract spelling → the file's own spelling, of every column in the file."""
        if file.is_csv:
            names = read_header(file.path, ",")
        else:
            described = connection.execute(
                f"describe select * from read_parquet({literal(file.path)}, "
                "hive_partitioning = false)"
            ).fetchall()
            names = tuple(name for name, *_ in described)
        return {name.strip().lower(): name for name in names}

    def _source_file(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile
    ) -> SourceFile:
        given = self._columns(connection, file)
        names = tuple(name for name in file.table.column_names if name in given)
        chosen = "".join(f", {quoted(given[name])} as {quoted(name)}" for name in names)
        if file.is_csv:
            rows = self._reader.relation(connection, file.path)
            relation = f"select _row, _malformed{chosen} from ({rows})"
        else:
            relation = (
                f"select file_row_number + 1 as _row{chosen} from "
                f"read_parquet({literal(file.path)}, file_row_number = true, "
                "hive_partitioning = false)"
            )
        return SourceFile(file.table.name, file.path, relation, names, file.stamp)


def _delivered_twice(
    table: Table, inspected: list[tuple[DeliveredFile, Inspection]]
) -> Iterator[Problem]:
    """Files with the same bytes. An unchanged master may repeat from month to month, not within."""
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


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
