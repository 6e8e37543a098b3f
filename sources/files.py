"""A bank's own files in the contract's layout: CSV (UTF-8, header, optionally gzip) or Parquet.

`<table>.csv`, `<table>.parquet`, or a folder of either named like the table or such a file, at any
depth, as Spark, pandas, DuckDB or a spreadsheet write them. A `YYYY-MM` in the path below the
table's folder is the month of a master's extract (`customer/2024-03.parquet`,
`customer/month=2024-03/part-0.csv`); for events it has no meaning, since their rows are dated. A
folder `column=value` gives its column to the files in it.
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import duckdb

from sources.booking_range import first_booking_month
from sources.contract import BY_NAME, TABLES, Table
from sources.delimited import (
    RESERVED,
    DelimitedReader,
    Inspection,
    inspect_bytes,
    literal,
    quoted,
    read_header,
)
from sources.delivered import (
    ACCEPTED,
    LINKED,
    PATTERNED,
    RESERVED_NAME,
    TWICE,
    DeliveredFile,
    Misfit,
    delivered_twice,
    emptiness,
    judge_values,
    misfit_problems,
    unstamped,
)
from sources.interface import SET_PATH, Problem, SourceFile, no_folder
from sources.message import Message, guess, listed, sentences
from sources.parquet import parquet_names, parquet_relation, parquet_rows

FORMATS = (".csv", ".csv.gz", ".parquet")
# Formats that are not read: a file named like a table gets a message of its own.
UNREAD = (
    *(".csv.zip", ".csv.bz2", ".csv.xz", ".csv.zst", ".parquet.gz", ".zip", ".xlsx", ".xls"),
    *(".ods", ".json", ".orc", ".avro", ".txt", ".tsv"),
)
# Temporary files of editors, spreadsheets, file managers and Spark.
LEFTOVER = re.compile(r"[._~#].*|.*[~#]|.*\.(bak|tmp|swp|crc)|thumbs\.db|desktop\.ini", re.I)
# Files that mark a delivery as complete; the manifest may list its files.
MANIFEST = "delivery.json"
MARKERS = ("_COMPLETE", MANIFEST)
STAMP = re.compile(r"(?<!\d)((?:19|20)\d{2})-(0[1-9]|1[0-2])(?!\d)")
# Spark puts random UUIDs into the names of part files, which may look like a month.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
PARTITION = re.compile(r"([A-Za-z_]+)=(.*)")
NO_PARTITION_VALUE = "__HIVE_DEFAULT_PARTITION__"
OTHER_DELIMITERS = {
    ";": Message("semicolons (;)"),
    "\t": Message("tabs"),
    "|": Message("bars (|)"),
}
# Rows that differ need bytes: a file of far more rows repeats one of them to exhaust its reader.
MOST_ROWS_A_BYTE = 10
MOST_LISTED = 3
AGAIN = Message("Deliver the complete file again.")
UNPACK = Message("Deliver the table as .csv, .csv.gz or .parquet.")


@dataclass(frozen=True)
class Given:
    """A column of a file: its name and type there (None as the name of a folder's column)."""

    name: str | None
    type: str
    sql: str


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
        self._layouts: dict[Path, dict[str, Given]] = {}
        self._digests: dict[tuple[Path, int, int], Inspection] = {}

    @property
    def identity(self) -> str:
        return f"files:{self.path.resolve()}"

    def first_month(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The month of the first booking."""
        return first_booking_month(connection, self)

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Nothing to do: the files are delivered."""

    def problems(self, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
        """Everything that makes the delivery unreadable or invalid, all at once."""
        if not self.path.is_dir():
            return [Problem(str(self.path), "", no_folder(self.path), SET_PATH)]
        delivered = self._delivered
        found: list[Problem] = []
        for table in TABLES:
            if table.name in delivered:
                found += self._table_problems(connection, table, delivered[table.name])
            elif table.required and table.name not in self._packed:
                found.append(self._missing_table(table))
        found += [
            Problem(label, "", Message("is a {0} file, which is not supported", kind), UNPACK)
            for label, kind in self._packed.values()
        ]
        return found + [Problem(label, "", *LINKED) for label in self._outside]

    def notes(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """What is missing or not read, and what that switches off; one line each."""
        delivered, lines = self._delivered, list[str]()
        for table in TABLES:
            if table.name not in delivered:
                if not table.required:
                    lines.append(table.loss)
                continue
            full, empty = self._full_and_empty(connection, delivered[table.name])
            if empty:
                labels = listed([f"`{file.label}`" for file in empty], MOST_LISTED)
                lines.append(Message("{0}: ignored, no rows", labels))
            if not full:
                loss = Message(table.without_it)
                lines.append(Message("no rows of `{0}`: {1}", table.name, loss))
                continue
            given = [self._layout(connection, file) for file in full]
            lacking = [name for name in table.column_names if not any(name in g for g in given)]
            if lacking:
                names = _listed(lacking)
                lines.append(Message("`{0}` has no {1}: read as unknown", table.name, names))
                lines += table.losses(lacking)
            for file, columns in zip(full, given, strict=True):
                unknown = _unknown(table, columns)
                if unknown:
                    names = _listed(unknown)
                    lines.append(Message("{0}: column(s) {1} are not read", file.label, names))
        lines += [
            Message("{0}: not read, not a table of the contract", label) for label in self._unknown
        ]
        return lines

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        return [
            self._source_file(connection, file)
            for files in self._delivered.values()
            for file in self._full_and_empty(connection, files)[0]
        ]

    @cached_property
    def _delivered(self) -> dict[str, list[DeliveredFile]]:
        return self._walk[0]

    @cached_property
    def _unknown(self) -> list[str]:
        return self._walk[1]

    @cached_property
    def _outside(self) -> list[str]:
        """Links that lead out of the delivery: what they name is not the bank's to deliver."""
        return self._walk[2]

    @cached_property
    def _packed(self) -> dict[str, tuple[str, str]]:
        """Tables delivered only in a format that is not read: the file and its format."""
        found: dict[str, tuple[str, str]] = {}
        for label in self._unknown:
            table, kind = _table_of(Path(label)), _format(Path(label), UNREAD)
            if kind is not None and table in BY_NAME and table not in self._delivered:
                found.setdefault(table, (label, kind))
        return found

    @cached_property
    def _walk(self) -> tuple[dict[str, list[DeliveredFile]], list[str], list[str]]:
        tables: dict[str, list[DeliveredFile]] = defaultdict(list)
        unknown: list[str] = []
        outside: list[str] = []
        root = self.path.resolve()
        for path in sorted(path for path in self.path.rglob("*") if path.is_file()):
            below = path.relative_to(self.path)
            if str(below) in MARKERS or any(LEFTOVER.fullmatch(part) for part in below.parts):
                continue
            name = _table_of(below)
            if not path.resolve().is_relative_to(root):
                outside.append(below.as_posix())
            elif name in BY_NAME and _format(below) is not None:
                table = BY_NAME[name]
                inner = Path(*below.parts[1:])
                found = None if table.event else STAMP.search(UUID.sub("", inner.as_posix()))
                stamp = date(int(found[1]), int(found[2]), 1) if found else None
                partition = tuple(
                    (match[1].lower(), unquote(match[2]))
                    for match in map(PARTITION.fullmatch, inner.parts[:-1])
                    if match
                )
                tables[name].append(DeliveredFile(table, path, below.as_posix(), stamp, partition))
            else:
                unknown.append(below.as_posix())
        return dict(tables), unknown, outside

    def _full_and_empty(
        self, connection: duckdb.DuckDBPyConnection, files: list[DeliveredFile]
    ) -> tuple[list[DeliveredFile], list[DeliveredFile]]:
        """The files of a table with rows (or unreadable), and those without."""
        empty = [file for file in files if self._records(connection, file) == 0]
        return [file for file in files if file not in empty], empty

    def _records(self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile) -> int | None:
        """The number of rows: of Parquet from its footer, of CSV from the count of its records;
        None if the file cannot be read."""
        try:
            if file.path.stat().st_size == 0:
                return 0
            if file.is_csv:
                if self._reader.inspection(file.path).size == 0:
                    return 0
                if self._reader.inspection(file.path).encoding_fault is not None:
                    return None
                if not self._header(file):
                    return None
                return self._reader.read(connection, file.path).records
            return parquet_rows(connection, file.path)
        except (OSError, EOFError, zlib.error, duckdb.Error):
            return None

    def _header(self, file: DeliveredFile) -> tuple[str, ...]:
        """The header of a CSV file; empty if its names are repeated or reserved."""
        header = read_header(file.path, ",")
        lowered = [name.lower() for name in header]
        sound = len(set(lowered)) == len(lowered) and not set(lowered) & set(RESERVED)
        return header if sound else ()

    def _missing_table(self, table: Table) -> Problem:
        tops = sorted({label.split("/")[0] for label in self._unknown})
        stems = {top.split(".")[0]: top for top in tops}
        near = difflib.get_close_matches(table.name, stems, n=1, cutoff=0.7)
        hint = Message("Did you mean {0}?", stems[near[0]]) if near else ""
        if self._unknown and not near:
            hint = Message("Files with names and columns of their own need MAPPING=mapping.yml.")
        return Problem(
            f"{table.name}.csv",
            "",
            Message("a required table is missing"),
            sentences(
                Message("Deliver {0}.csv, {0}.parquet or a folder {0}/ of them.", table.name), hint
            ),
        )

    def _table_problems(
        self, connection: duckdb.DuckDBPyConnection, table: Table, files: list[DeliveredFile]
    ) -> list[Problem]:
        full, empty = self._full_and_empty(connection, files)
        found = list(emptiness(table, files, full, empty))
        files = full
        inspected: list[tuple[DeliveredFile, Inspection]] = []
        misfits: list[Misfit] = []
        for file in files:
            try:
                inspection = self._inspection(file)
            except (OSError, EOFError, zlib.error) as error:
                what = Message("cannot be unpacked: {0}", str(error))
                found.append(Problem(file.label, "", what, AGAIN))
                continue
            inspected.append((file, inspection))
            try:
                for one in self._file_problems(connection, file, inspection):
                    if isinstance(one, Misfit):
                        misfits.append(one)
                    else:
                        found.append(one)
            except duckdb.Error as error:
                what = Message("cannot be read: {0}", str(error).splitlines()[0])
                found.append(Problem(file.label, "", what, AGAIN))
        found += misfit_problems(misfits)
        if len({file.is_csv for file in files}) > 1:
            csv, parquet = (next(f for f in files if f.is_csv is kind) for kind in (True, False))
            found.append(
                Problem(
                    csv.label,
                    "",
                    Message(
                        "{0} is delivered both as CSV and as Parquet ({1})",
                        *(table.name, parquet.label),
                    ),
                    Message("Deliver one of the two."),
                )
            )
        cure = Message("Put the month (YYYY-MM) into the name of every extract, or of none.")
        found += unstamped(files, cure)
        found += delivered_twice(table, inspected)
        return found

    def _inspection(self, file: DeliveredFile) -> Inspection:
        if file.is_csv:
            return self._reader.inspection(file.path)
        seen = file.path.stat()
        known = (file.path, seen.st_size, seen.st_mtime_ns)
        if known not in self._digests:
            self._digests[known] = inspect_bytes(file.path, text=False)
        return self._digests[known]

    def _file_problems(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile, inspection: Inspection
    ) -> Iterator[Problem | Misfit]:
        def problem(what: str, cure: str, column: str = "") -> Problem:
            return Problem(file.label, column, what, cure)

        if any(mark in str(file.path) for mark in "*?["):
            yield problem(*PATTERNED)
            return
        if inspection.encoding_fault is not None:
            cure = Message("Save it as UTF-8 and deliver it again.")
            yield problem(inspection.encoding_fault, cure)
            return
        if file.is_csv:
            header = read_header(file.path, ",")
            if not header:
                cure = Message("Start with the column names.")
                yield problem(Message("has no header in its first line"), cure)
                return
            if len(header) == 1:
                for mark, word in OTHER_DELIMITERS.items():
                    if mark in header[0]:
                        yield problem(
                            Message("is delimited by {0}, not by commas", word),
                            Message("Export it with commas as delimiter."),
                        )
                        return
        else:
            header = parquet_names(connection, file.path)
            rows, size = parquet_rows(connection, file.path), file.path.stat().st_size
            if rows > MOST_ROWS_A_BYTE * size:
                yield problem(
                    Message(
                        "has {0} rows in {1} bytes: expected at most {2} rows a byte, since no two "
                        "rows of a table are equal",
                        *(f"{rows:,}", f"{size:,}", MOST_ROWS_A_BYTE),
                    ),
                    Message("Deliver the table's own rows."),
                )
                return
        folders = [name for name, _ in file.partition if name in file.table.column_names]
        counted = Counter(name.strip().lower() for name in (*header, *folders))
        twice = [name for name, count in counted.items() if count > 1]
        for name in twice:
            yield problem(*TWICE, name)
        kept = RESERVED if file.is_csv else (*RESERVED, "file_row_number")
        reserved = [name for name in header if name.strip().lower() in kept]
        for name in reserved:
            yield problem(*RESERVED_NAME, name)
        if twice or reserved:
            return
        names = self._layout(connection, file)
        unknown = _unknown(file.table, names)
        for name in file.table.required_columns:
            if name not in names:
                near = difflib.get_close_matches(name, [u.lower() for u in unknown], n=1)
                add = sentences(Message("Add the column {0}.", name), guess(near))
                yield problem(Message("a required column is missing"), add, name)
        source = self._source_file(connection, file)
        kinds = {name: names[name].type for name in source.columns}
        yield from judge_values(connection, file, source.relation, kinds)

    def _layout(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile
    ) -> dict[str, Given]:
        """Every column of the file by its name in lower case, as in the contract."""
        if file.path not in self._layouts:
            self._layouts[file.path] = self._find_layout(connection, file)
        return self._layouts[file.path]

    def _find_layout(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile
    ) -> dict[str, Given]:
        found = {
            name: Given(
                None, "VARCHAR", "null::varchar" if value == NO_PARTITION_VALUE else literal(value)
            )
            for name, value in file.partition
            if name in file.table.column_names
        }
        if file.is_csv:
            for name in read_header(file.path, ","):
                found[name.strip().lower()] = Given(name, "VARCHAR", quoted(name))
            return found
        described = connection.execute(f"describe {parquet_relation(file.path)}").fetchall()
        kinds = {name: kind for name, kind, *_ in described if name != "file_row_number"}
        known = {name.strip().lower(): name for name in kinds}
        # A writer cannot infer the type of a column without values: accept any type there.
        doubtful = [
            own
            for name, own in known.items()
            if name in file.table.column_names
            and not ACCEPTED[file.table.column(name).type].fullmatch(kinds[own])
        ]
        counts: list[int] = []
        if doubtful:
            (row,) = connection.execute(
                f"select {', '.join(f'count({quoted(own)})' for own in doubtful)} "
                f"from ({parquet_relation(file.path)})"
            ).fetchall()
            counts = list(row)
        void = {own for own, count in zip(doubtful, counts, strict=True) if count == 0}
        for name, own in known.items():
            if own in void:
                found[name] = Given(own, "VARCHAR", "null::varchar")
            else:
                found[name] = Given(own, kinds[own], quoted(own))
        return found

    def _source_file(
        self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile
    ) -> SourceFile:
        inspection = self._inspection(file)
        given = self._layout(connection, file)
        names = tuple(name for name in file.table.column_names if name in given)
        chosen = "".join(f", {given[name].sql} as {quoted(name)}" for name in names)
        if file.is_csv:
            reading = self._reader.read(connection, file.path)
            relation = f"select _row, _malformed{chosen} from ({reading.relation})"
        else:
            relation = (
                f"select file_row_number + 1 as _row{chosen} from ({parquet_relation(file.path)})"
            )
        return SourceFile(
            file.table.name,
            file.path,
            relation,
            names,
            file.stamp,
            self._records(connection, file),
            inspection.sha256,
        )


def _table_of(below: Path) -> str:
    """The table that a file belongs to by its path below the delivery's folder."""
    top = below.parts[0].lower()
    return next((top.removesuffix(end) for end in (*FORMATS, *UNREAD) if top.endswith(end)), top)


def _format(path: Path, formats: tuple[str, ...] = FORMATS) -> str | None:
    return next((end for end in formats if path.name.lower().endswith(end)), None)


def _unknown(table: Table, given: Mapping[str, Given]) -> list[str]:
    return [
        column.name
        for name, column in given.items()
        if name not in table.column_names and column.name is not None
    ]


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
