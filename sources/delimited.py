"""Delimited text as queries: every data row once, numbered, malformed rows marked.

Text of another encoding than UTF-8 is converted first (`recoded`): DuckDB reads others only with an
extension that is downloaded.

DuckDB's reader is fast on text that follows RFC 4180 and strict about the rest: it aborts, or with
`ignore_errors` drops rows, and one stray quote swallows the rows that follow; it leaves out a
record that does not fit its buffer at the end of a file. So the records of each file are counted
twice, by DuckDB in strict mode and from the bytes. If the two differ, DuckDB fails, or a record is
longer than `LONGEST_RECORD`, the file is copied row by row, with row numbers and malformed rows
marked, and the copy is read instead.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import re
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, TextIO

import duckdb
import numpy as np

from sources.message import Message
from sources.recoding import UTF_8, recode

CHUNK = 1 << 20
# Columns that `DelimitedReader` adds to those of the header.
RESERVED = ("_row", "_malformed")
# A quoted value may span lines (an address, a remark). Beyond this number the quote is a stray one.
MOST_LINES = 20
# Bytes. DuckDB's reader buffers many times the longest record for each thread, and refuses two
# megabytes; a value of this length is a file in the wrong column.
LONGEST_RECORD = 1_000_000
TOO_LONG = f"longer than {LONGEST_RECORD:,} bytes"
QUOTE = '"'
LINE_END, RETURN = b"\n\r"


def literal(text: str | Path) -> str:
    """A SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Inspection:
    """The bytes of one file.

    `sha256` and `size` are of the file as delivered; the other fields are of its uncompressed text:
    the first place that is not UTF-8 (None if all is), the number of records (including the header,
    without blank lines) and the bytes of the longest one.
    """

    sha256: str
    size: int
    encoding_fault: str | None = None
    records: int = 0
    longest: int = 0


def is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def inspect_bytes(path: Path, text: bool = True, quote: str = QUOTE) -> Inspection:
    """Inspect a file in one pass (two if it is compressed), with one megabyte of it in memory.

    Raises
    ------
    OSError, EOFError
        When a compressed file cannot be decompressed.
    """
    with path.open("rb") as stream:
        if text and not is_packed(path):
            return _inspect(stream, quote)
        digest, size = hashlib.sha256(), 0
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    if not text:
        return Inspection(digest.hexdigest(), size)
    with gzip.open(path) as unpacked:
        found = _inspect(unpacked, quote)
    return replace(found, sha256=digest.hexdigest(), size=found.size and size)


def _inspect(stream: IO[bytes] | gzip.GzipFile, quote: str) -> Inspection:
    digest, records = hashlib.sha256(), _RecordCount(quote)
    decoder = codecs.getincrementaldecoder("utf-8")()
    size, line, fault = 0, 1, None
    pending = b""
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        records.add(chunk)
        if size == 0 and chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
            fault = Message("is UTF-16, not UTF-8")
        if fault is None:
            try:
                decoder.decode(chunk)
                pending = decoder.getstate()[0]
                line += chunk.count(b"\n")
            except UnicodeDecodeError as error:
                line += (pending + chunk)[: error.start].count(b"\n")
                place = size - len(pending) + error.start
                fault = Message("is not {0}: line {1}, byte {2}", "UTF-8", line, place)
        size += len(chunk)
    if fault is None and decoder.getstate()[0]:
        fault = Message("is not UTF-8: it ends within a character, line {0}, byte {1}", line, size)
    records.end()
    return Inspection(digest.hexdigest(), size, fault, records.count, records.longest)


class _RecordCount:
    """Counts the line ends outside quotes, and the bytes between them."""

    def __init__(self, quote: str) -> None:
        # A zero byte where there are no quotes: text has none.
        self._quote = ord(quote or "\0")
        self.count = self.longest = 0
        self._read = self._begin = 0
        self._quoted = False
        self._last = 0

    def add(self, chunk: bytes) -> None:
        codes = np.frombuffer(chunk, dtype=np.uint8)
        ends = codes == LINE_END
        quotes = codes == self._quote
        if self._quoted or quotes.any():
            inside = (np.cumsum(quotes, dtype=np.int64) + self._quoted) % 2 == 1
            self._quoted = bool(inside[-1])
            ends &= ~inside
        places = np.flatnonzero(ends)
        if len(places):
            begins = np.concatenate(([self._begin - self._read], places[:-1] + 1))
            lengths = places - begins
            before = np.where(places > 0, codes[places - 1], self._last)
            blank = (lengths == 0) | ((lengths == 1) & (before == RETURN))
            self.count += int((~blank).sum())
            self.longest = max(self.longest, int(lengths.max()))
            self._begin = self._read + int(places[-1]) + 1
        self._read += len(chunk)
        self._last = chunk[-1]

    def end(self) -> None:
        length = self._read - self._begin
        self.count += int(length > 1 or (length == 1 and self._last != RETURN))
        self.longest = max(self.longest, length)


def open_text(path: Path, *, newline: str | None) -> TextIO:
    """The text of a file, compressed or not, without its byte order mark."""
    if is_packed(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline=newline)
    return path.open(encoding="utf-8-sig", errors="replace", newline=newline)


def read_header(path: Path, delimiter: str, quote: str = QUOTE) -> tuple[str, ...]:
    """The names in the first line, stripped, unnamed ones numbered; none for a blank line."""
    with open_text(path, newline="") as stream:
        line = stream.readline(LONGEST_RECORD)
    if len(delimiter) == 1 and quote:
        # More lenient than the rows' own reader: a blank may follow a quoted name.
        first = next(csv.reader(iter([line]), delimiter=delimiter, quotechar=quote), [])
    else:
        line = line.rstrip("\r\n")
        first = split_line(line, delimiter, quote) or line.split(delimiter)
    names = tuple(name.strip() or f"unnamed_{place}" for place, name in enumerate(first, 1))
    return names if any(name.strip() for name in first) else ()


@dataclass(frozen=True)
class Reading:
    """A file as a query (see `DelimitedReader.relation`), and the number of rows it must yield."""

    relation: str
    records: int


class DelimitedReader:
    """Turns delimited files into queries; owns the copies of files that DuckDB cannot read.

    Parameters
    ----------
    delimiter
        What separates values: a sign, or several (`|+|`).
    quote
        The sign around values that hold a delimiter, doubled within them; empty for none.
    names
        The columns of files without a header line; None where the first line is the header.
    encoding
        One of Python's names of encodings.
    """

    def __init__(
        self,
        delimiter: str,
        quote: str = QUOTE,
        names: tuple[str, ...] | None = None,
        encoding: str = UTF_8,
    ) -> None:
        self.delimiter = delimiter
        self.quote = quote
        self.names = names
        self.encoding = encoding
        self._copies = tempfile.TemporaryDirectory(prefix="jingxi-rows-")
        self._inspections: dict[tuple[Path, int, int], Inspection] = {}
        self._readings: dict[tuple[Path, int, int], Reading] = {}
        self._texts: dict[tuple[Path, int, int], Path] = {}

    def inspection(self, path: Path) -> Inspection:
        """The result of `inspect_bytes`, cached until the file changes; records and their bytes are
        those of the text in UTF-8."""
        known = _state(path)
        if known not in self._inspections:
            self._inspections[known] = self._inspect(path)
        return self._inspections[known]

    def _inspect(self, path: Path) -> Inspection:
        if self.encoding == UTF_8:
            return inspect_bytes(path, quote=self.quote)
        delivered = inspect_bytes(path, text=False)
        copy = Path(self._copies.name) / f"text-{len(self._texts)}.txt"
        with gzip.open(path) if is_packed(path) else path.open("rb") as stream:
            fault = recode(stream, copy, self.encoding)
        self._texts[_state(path)] = copy
        found = inspect_bytes(copy, quote=self.quote)
        return replace(
            found, sha256=delivered.sha256, size=found.size and delivered.size, encoding_fault=fault
        )

    def _text(self, path: Path) -> Path:
        """The file's text in UTF-8: the file itself or its converted copy."""
        self.inspection(path)
        return self._texts.get(_state(path), path)

    def header(self, path: Path) -> tuple[str, ...]:
        """The file's columns; none for a blank first line."""
        if self.names is not None:
            return self.names
        return read_header(self._text(path), self.delimiter, self.quote)

    def relation(self, connection: duckdb.DuckDBPyConnection, path: Path) -> str:
        """A query yielding every column of the header as text (NULL where empty), `_row` (1-based
        number of the data row, blank lines and rows of nothing but delimiters not counted) and
        `_malformed` (why the row cannot be split into the header's columns, else NULL).
        """
        return self.read(connection, path).relation

    def read(self, connection: duckdb.DuckDBPyConnection, path: Path) -> Reading:
        known = _state(path)
        if known not in self._readings:
            self._readings[known] = self._find(connection, path)
        return self._readings[known]

    def _find(self, connection: duckdb.DuckDBPyConnection, path: Path) -> Reading:
        inspection, header, text = self.inspection(path), self.header(path), self._text(path)
        headed = self.names is None
        if inspection.longest <= LONGEST_RECORD:
            strict = self._scan(text, self.delimiter, self.quote, header, headed)
            given = f"coalesce({', '.join(quoted(name) for name in header)})"
            try:
                ((read, rows),) = connection.execute(
                    f"select count(*), count({given}) from {strict}"
                ).fetchall()
            except duckdb.InvalidInputException:
                read, rows = -1, -1
            if read == inspection.records - headed:
                relation = (
                    "select *, row_number() over () as _row, null::varchar as _malformed "
                    f"from {strict}"
                )
                return Reading(f"{relation} where {given} is not null", rows)
        copy = Path(self._copies.name) / f"{len(self._readings)}.csv"
        rows = self._copy(text, copy, len(header))
        # The copy doubles every quote: a record may be twice as long.
        columns = ("_row", "_malformed", *header)
        scan = self._scan(copy, ",", QUOTE, columns, longest=3 * LONGEST_RECORD)
        return Reading(f"select * replace (_row::bigint as _row) from {scan}", rows)

    @staticmethod
    def _scan(
        path: Path,
        delimiter: str,
        quote: str,
        header: tuple[str, ...],
        headed: bool = True,
        longest: int = 2 * LONGEST_RECORD,
    ) -> str:
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
        return (
            f"read_csv({literal(path)}, auto_detect = false, header = {str(headed).lower()}, "
            f"delim = {literal(delimiter)}, quote = {literal(quote)}, escape = {literal(quote)}, "
            f"max_line_size = {longest}, columns = {{{columns}}})"
        )

    def _copy(self, path: Path, copy: Path, width: int) -> int:
        """Copy the file row by row; returns the number of data rows."""
        empty = [""] * width
        number = 0
        with (
            open_text(path, newline=None) as stream,
            copy.open("w", encoding="utf-8", newline="") as target,
        ):
            writer = csv.writer(target, lineterminator="\n")
            writer.writerow(["_row", "_malformed", *(f"c{n}" for n in range(width))])
            records = split_records(_lines(stream), self.delimiter, width, self.quote)
            if self.names is None:
                next(records, None)
            for number, fields in enumerate(records, 1):
                if isinstance(fields, str):
                    writer.writerow([number, fields, *empty])
                else:
                    writer.writerow([number, "", *fields])
        return number


def _state(path: Path) -> tuple[Path, int, int]:
    seen = path.stat()
    return path, seen.st_size, seen.st_mtime_ns


def _lines(stream: TextIO) -> Iterator[str | None]:
    """The lines of a text, None for a line longer than `LONGEST_RECORD`."""
    while line := stream.readline(LONGEST_RECORD):
        if len(line) < LONGEST_RECORD or line.endswith("\n"):
            yield line
            continue
        while (rest := stream.readline(LONGEST_RECORD)) and not rest.endswith("\n"):
            pass
        yield None


@cache
def _value(delimiter: str, quote: str) -> re.Pattern[str]:
    # An unquoted value may hold a quote after its first character (5" pipe), as in DuckDB's strict
    # reader.
    separator, q = re.escape(delimiter), re.escape(quote)
    return re.compile(rf"{q}(?:[^{q}]|{q}{q})*{q}|(?!{q})(?:(?!{separator}).)*", re.DOTALL)


def split_line(text: str, delimiter: str, quote: str = QUOTE) -> list[str] | None:
    """The fields of one record; None if a quote does not belong or is not closed."""
    if not quote or quote not in text:
        return text.split(delimiter)
    value = _value(delimiter, quote)
    fields, place = [], 0
    while True:
        match = value.match(text, place)
        if match is None:
            return None
        found = match.group()
        is_quoted = found[:1] == quote
        fields.append(found[1:-1].replace(quote * 2, quote) if is_quoted else found)
        place = match.end()
        if place == len(text):
            return fields
        if not text.startswith(delimiter, place):
            return None
        place += len(delimiter)


def split_records(
    lines: Iterator[str | None], delimiter: str, width: int, quote: str = QUOTE
) -> Iterator[list[str] | str]:
    """The fields of each record, or what is wrong with it; None in `lines` is a line that is too
    long. Blank lines, and lines that hold nothing but delimiters, are skipped.

    After a malformed record, reading resumes at the next line, so that a stray quote does not
    affect the rows that follow.
    """
    ahead: deque[str | None] = deque()

    def pull() -> str | None:
        return ahead.popleft() if ahead else next(lines)

    while True:
        try:
            text = pull()
        except StopIteration:
            return
        if text is None:
            yield TOO_LONG
            continue
        text = text.removesuffix("\n")
        if not text.replace(delimiter, "").strip():
            continue
        fields = split_line(text, delimiter, quote)
        if fields is None and text.count(quote) % 2:
            taken: list[str | None] = []
            whole = text
            while fields is None and len(taken) < MOST_LINES and len(whole) <= LONGEST_RECORD:
                try:
                    line = pull()
                except StopIteration:
                    break
                taken.append(line)
                if line is None:
                    break
                whole += "\n" + line.removesuffix("\n")
                candidate = split_line(whole, delimiter, quote) if quote in line else None
                fields = candidate if candidate is not None and len(candidate) == width else None
            if fields is None:
                ahead.extendleft(reversed(taken))
        if fields is None:
            yield "a quote that does not belong or is not closed"
        elif len(fields) != width:
            yield f"{len(fields)} field(s) instead of {width}"
        elif sum(len(field.encode()) for field in fields) > LONGEST_RECORD:
            yield TOO_LONG
        elif any(fields):
            yield fields
