"""Delimited text as relations: every data row once and numbered, malformed ones marked.

DuckDB's reader is fast on text that follows RFC 4180 and strict about the rest: it aborts, or with
`ignore_errors` drops rows and lets one stray quote swallow its neighbours. So each file is first
counted strictly (0.1 s for 1.8 million rows); only one that fails this is copied row by row, with
its row numbers and with the broken rows marked, and the copy is read instead.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

CHUNK = 1 << 20
# Columns that `DelimitedReader` adds to those of the header.
RESERVED = ("_row", "_malformed")
# A quoted value may run over lines (an address, a remark). Further than this it is a stray quote.
LONGEST_RECORD = 20


def literal(text: str | Path) -> str:
    """A SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Inspection:
    """The bytes of one file: digest, size, and where they stop being UTF-8 (None: nowhere)."""

    sha256: str
    size: int
    encoding_fault: str | None


def inspect_bytes(path: Path, text: bool = True) -> Inspection:
    """One pass over the file; memory holds one megabyte of it. `text` asks for UTF-8."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")() if text else None
    size, line, fault = 0, 1, None
    pending = b""
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            if decoder is not None and size == 0 and chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
                fault, decoder = "is UTF-16, not UTF-8", None
            if decoder is not None:
                try:
                    decoder.decode(chunk)
                    pending = decoder.getstate()[0]
                    line += chunk.count(b"\n")
                except UnicodeDecodeError as error:
                    line += (pending + chunk)[: error.start].count(b"\n")
                    place = size - len(pending) + error.start
                    fault = f"is not UTF-8: line {line}, byte {place}"
                    decoder = None
            size += len(chunk)
    if decoder is not None and decoder.getstate()[0]:
        fault = f"is not UTF-8: it ends within a character, line {line}, byte {size}"
    return Inspection(digest.hexdigest(), size, fault)


def read_header(path: Path, delimiter: str) -> tuple[str, ...]:
    """The names in the first line, stripped, nameless ones numbered; none for a blank line."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        first = next(csv.reader(stream, delimiter=delimiter), [])
    names = tuple(name.strip() or f"unnamed_{place}" for place, name in enumerate(first, 1))
    return names if any(name.strip() for name in first) else ()


class DelimitedReader:
    """Turns delimited files into relations; owns the copies of those that needed one."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self._copies = tempfile.TemporaryDirectory(prefix="jingxi-rows-")
        self._relations: dict[tuple[str, int, int], str] = {}

    def relation(self, connection: duckdb.DuckDBPyConnection, path: Path) -> str:
        """A query yielding every column of the header as text (NULL where empty), `_row` (1-based
        number of the data row, blank lines not counted) and `_malformed` (why the row cannot be
        split into the header's columns, else NULL).
        """
        seen = path.stat()
        known = (str(path), seen.st_size, seen.st_mtime_ns)
        if known not in self._relations:
            self._relations[known] = self._find(connection, path)
        return self._relations[known]

    def _find(self, connection: duckdb.DuckDBPyConnection, path: Path) -> str:
        header = read_header(path, self.delimiter)
        strict = self._scan(path, self.delimiter, header)
        try:
            connection.execute(f"select count(*) from {strict}")
        except duckdb.InvalidInputException:
            copy = Path(self._copies.name) / f"{len(self._relations)}.csv"
            self._copy(path, copy, len(header))
            scan = self._scan(copy, ",", ("_row", "_malformed", *header))
            return f"select * replace (_row::bigint as _row) from {scan}"
        return f"select *, row_number() over () as _row, null::varchar as _malformed from {strict}"

    @staticmethod
    def _scan(path: Path, delimiter: str, header: tuple[str, ...]) -> str:
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
        return (
            f"read_csv({literal(path)}, auto_detect = false, header = true, "
            f"delim = {literal(delimiter)}, quote = '\"', escape = '\"', "
            f"columns = {{{columns}}})"
        )

    def _copy(self, path: Path, copy: Path, width: int) -> None:
        empty = [""] * width
        with (
            path.open(encoding="utf-8-sig", newline=None) as stream,
            copy.open("w", encoding="utf-8", newline="") as target,
        ):
            writer = csv.writer(target, lineterminator="\n")
            writer.writerow(["_row", "_malformed", *(f"c{n}" for n in range(width))])
            records = split_records(stream, self.delimiter, width)
            next(records, None)
            for number, fields in enumerate(records, 1):
                if isinstance(fields, str):
                    writer.writerow([number, fields, *empty])
                else:
                    writer.writerow([number, "", *fields])


def split_records(lines: Iterator[str], delimiter: str, width: int) -> Iterator[list[str] | str]:
    """The fields of each record, or what is wrong with it. Blank lines are passed over.

    After a broken record reading resumes at the very next line, so that a stray quote costs its own
    row and not those behind it.
    """
    separator = re.escape(delimiter)
    # An unquoted value may hold a quote further on (5" pipe), as DuckDB's strict reader allows.
    value = re.compile(rf'"(?:[^"]|"")*"|[^"{separator}][^{separator}]*|', re.DOTALL)

    def split(text: str) -> list[str] | None:
        if '"' not in text:
            return text.split(delimiter)
        fields, place = [], 0
        while True:
            match = value.match(text, place)
            if match is None:
                return None
            found = match.group()
            fields.append(found[1:-1].replace('""', '"') if found[:1] == '"' else found)
            place = match.end()
            if place == len(text):
                return fields
            if text[place] != delimiter:
                return None
            place += 1

    ahead: deque[str] = deque()

    def pull() -> str | None:
        line = ahead.popleft() if ahead else next(lines, None)
        return None if line is None else line.removesuffix("\n")

    while (text := pull()) is not None:
        if not text.strip():
            continue
        fields = split(text)
        if fields is None and text.count('"') % 2:
            taken: list[str] = []
            whole = text
            while fields is None and len(taken) < LONGEST_RECORD and (line := pull()) is not None:
                taken.append(line)
                whole = f"{whole}\n{line}"
                candidate = split(whole) if '"' in line else None
                fields = candidate if candidate is not None and len(candidate) == width else None
            if fields is None:
                ahead.extendleft(reversed(taken))
        if fields is None:
            yield "a quote that does not belong or is not closed"
        elif len(fields) != width:
            yield f"{len(fields)} field(s) instead of {width}"
        else:
            yield fields
