"""The files that a mapping names, as queries of the contract."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from sources.contract import BY_NAME, Table
from sources.delimited import DelimitedReader, Inspection, inspect_bytes, literal, quoted
from sources.delivered import DeliveredFile
from sources.interface import SourceFile
from sources.mapping.expressions import parse
from sources.mapping.model import Feed, Layout, Lookup, setting
from sources.mapping.places import is_part, matching
from sources.mapping.reading import Draft, Place
from sources.mapping.values import Columns, cleaned, parsed, tried, used_columns
from sources.parquet import parquet_names, parquet_relation, parquet_rows

UNREADABLE = (OSError, EOFError, zlib.error, duckdb.Error)


@dataclass(frozen=True)
class Fed:
    """One feed of a table, its place in the mapping, and its files."""

    table: Table
    feed: Feed
    place: Place
    files: tuple[DeliveredFile, ...]

    @property
    def names(self) -> set[str]:
        """The contract's columns that it gives."""
        return set(self.feed.columns) | {name for row in self.feed.rows for name in row}


class Relations:
    """A folder read through a mapping.

    Parameters
    ----------
    path
        The delivery's folder.
    draft
        The mapping, as far as it can be read.
    """

    def __init__(self, path: Path, draft: Draft) -> None:
        self.path = path
        self.draft = draft
        self._readers: dict[tuple[Any, ...], DelimitedReader] = {}
        self._digests: dict[tuple[Path, int, int], Inspection] = {}
        self._left_out: dict[tuple[object, ...], int] = {}

    @cached_property
    def paths(self) -> list[str]:
        """The delivered files, by their path below the folder."""
        found = sorted(path for path in self.path.rglob("*") if path.is_file())
        below = (path.relative_to(self.path).as_posix() for path in found)
        return [path for path in below if is_part(path)]

    @cached_property
    def feds(self) -> list[Fed]:
        """Every feed that can be read."""
        return [
            Fed(BY_NAME[name], feed, place, self._files_of(BY_NAME[name], feed))
            for name, feeds in self.draft.feeds.items()
            for place, feed in feeds
        ]

    @cached_property
    def unread(self) -> list[str]:
        """The delivered files that the mapping does not name."""
        read = {
            path
            for fed in self.feds
            for part, _ in with_lookups(fed.feed, fed.place)
            for pattern in part.file or ()
            for path in matching(pattern, self.paths)
        }
        return [path for path in self.paths if path not in read]

    def setting(self, name: str, part: Layout) -> Any:
        """A key of the feed or lookup, of the defaults, or the default of the key."""
        mapping = self.draft.mapping
        return setting(name, part, mapping.defaults if mapping else None)

    def inspection(self, part: Layout, file: DeliveredFile) -> Inspection:
        if file.is_csv:
            return self._reader(part).inspection(file.path)
        seen = file.path.stat()
        known = (file.path, seen.st_size, seen.st_mtime_ns)
        if known not in self._digests:
            self._digests[known] = inspect_bytes(file.path, text=False)
        return self._digests[known]

    def header(
        self, connection: duckdb.DuckDBPyConnection, part: Layout, file: DeliveredFile
    ) -> tuple[str, ...]:
        if not file.is_csv:
            return parquet_names(connection, file.path)
        return self._reader(part).header(file.path)

    def kinds(self, connection: duckdb.DuckDBPyConnection, file: DeliveredFile) -> dict[str, str]:
        """The types of a Parquet file's columns that are no text."""
        if file.is_csv:
            return {}
        described = connection.execute(f"describe {parquet_relation(file.path)}").fetchall()
        return {
            name: kind
            for name, kind, *_ in described
            if kind != "VARCHAR" and name != "file_row_number"
        }

    def records(
        self, connection: duckdb.DuckDBPyConnection, fed: Fed, file: DeliveredFile
    ) -> int | None:
        """The number of the file's data rows; None if it cannot be read."""
        try:
            inspection = self.inspection(fed.feed, file)
            if inspection.size == 0:
                return 0
            if inspection.encoding_fault is not None:
                return None
            if file.is_csv:
                return self._reader(fed.feed).read(connection, file.path).records
            return parquet_rows(connection, file.path)
        except UNREADABLE:
            return None

    def left_out(self, connection: duckdb.DuckDBPyConnection, fed: Fed, file: DeliveredFile) -> int:
        """The number of rows for which the feed's condition does not hold."""
        if fed.feed.where is None:
            return 0
        seen = file.path.stat()
        known = (fed.place, file.path, seen.st_size, seen.st_mtime_ns)
        if known not in self._left_out:
            condition = tried(parse(connection, fed.feed.where))
            ((count,),) = connection.execute(
                f"select count(*) from (select _malformed, {condition} as tried "
                f"from ({self.rows(connection, fed.feed, file)})) "
                "where _malformed is null and tried is not null and tried.v is not true"
            ).fetchall()
            self._left_out[known] = count
        return self._left_out[known]

    def source_file(
        self, connection: duckdb.DuckDBPyConnection, fed: Fed, file: DeliveredFile
    ) -> SourceFile:
        """One file of a feed.

        Raises
        ------
        ExpressionRefused
            For an expression that is not allowed.
        duckdb.Error
            For a file or an expression that cannot be read.
        """
        expressions = parsed(connection, fed.feed)
        typed = {name.lower() for name in self.kinds(connection, file)}
        columns = Columns(
            fed.table,
            fed.feed,
            self.draft.mapping.defaults if self.draft.mapping else Layout(),
            expressions,
            {
                given.column
                for given in fed.feed.columns.values()
                if given.column and given.column.lower() in typed
            },
        )
        rows = self.rows(connection, fed.feed, file, used_columns(fed.feed, expressions))
        records = self.records(connection, fed, file)
        if records is not None:
            records -= self.left_out(connection, fed, file)
        return SourceFile(
            fed.table.name,
            file.path,
            columns.relation(rows),
            columns.names,
            file.stamp,
            records,
            self.inspection(fed.feed, file).sha256,
            file.label,
        )

    def own_rows(self, fed: Fed) -> SourceFile:
        """The rows that the mapping itself has: its file delivers them."""
        mapping, given = self.draft.path, fed.feed.rows
        names = tuple(n for n in fed.table.column_names if any(n in row for row in given))
        rows = ", ".join(
            f"({number}, {', '.join(literal(row[n]) if row.get(n) else 'null' for n in names)})"
            for number, row in enumerate(given, 1)
        )
        typed = "".join(f", {quoted(name)}::varchar as {quoted(name)}" for name in names)
        return SourceFile(
            fed.table.name,
            mapping,
            f"select _row::bigint as _row{typed} "
            f"from (values {rows}) as own(_row, {', '.join(map(quoted, names))})",
            names,
            records=len(given),
            sha256=inspect_bytes(mapping, text=False).sha256,
            label=mapping.name,
        )

    def rows(
        self,
        connection: duckdb.DuckDBPyConnection,
        part: Feed | Lookup,
        file: DeliveredFile,
        used: Collection[str] | None = None,
    ) -> str:
        """A query of the file's columns as cleaned text with those of its lookups, `_row` and
        `_malformed`; `used` are the columns to read."""
        wanted = None if used is None else {name.lower() for name in used}
        nulls, kinds = self.setting("nulls", part), self.kinds(connection, file)
        chosen = "".join(
            f", {f'{quoted(name)}::varchar' if name in kinds else cleaned(name, nulls)} "
            f"as {quoted(name)}"
            for name in self.header(connection, part, file)
            if wanted is None or name.lower() in wanted
        )
        if file.is_csv:
            given = self._reader(part).relation(connection, file.path)
            query = f"select _row, _malformed{chosen} from ({given})"
        else:
            query = (
                f"select file_row_number + 1 as _row, null::varchar as _malformed{chosen} "
                f"from ({parquet_relation(file.path)})"
            )
        for number, lookup in enumerate(part.lookups):
            query = self._joined(connection, query, lookup, file, f"_lookup_{number}")
        return query

    def lookup_files(self, lookup: Lookup, file: DeliveredFile) -> tuple[DeliveredFile, ...]:
        """The lookup's files: those of the rows' month where the names have months."""
        own = self._files_of(file.table, lookup, events=True)
        same = tuple(one for one in own if one.stamp == file.stamp)
        return same if file.stamp is not None and same else own

    def lookup_rows(
        self, connection: duckdb.DuckDBPyConnection, lookup: Lookup, file: DeliveredFile
    ) -> str:
        """A query of the lookup's columns that rows are matched by or that are taken."""
        names = dict.fromkeys((*lookup.match, *lookup.take.values()))
        of_inner = {name for inner in lookup.lookups for name in inner.match.values()}
        listed = ", ".join(map(quoted, names))
        return " union all ".join(
            f"select {listed} from ({self.rows(connection, lookup, one, {*names, *of_inner})})"
            for one in self.lookup_files(lookup, file)
        )

    def _joined(
        self,
        connection: duckdb.DuckDBPyConnection,
        query: str,
        lookup: Lookup,
        file: DeliveredFile,
        alias: str,
    ) -> str:
        """The rows with the names that are taken from the lookup; no row is joined twice, since
        each key has one row."""
        taken = list(enumerate(lookup.take.items()))
        if not self.lookup_files(lookup, file):
            nothing = "".join(f", null::varchar as {quoted(name)}" for _, (name, _) in taken)
            return f"select *{nothing} from ({query})"
        matched = list(enumerate(lookup.match.items()))
        keys = ", ".join(f"{quoted(own)} as k{n}" for n, (own, _) in matched)
        picked = ", ".join(
            f"{lookup.pick or 'min'}({quoted(own)}) as t{n}" for n, (_, own) in taken
        )
        equal = " and ".join(f"{alias}.k{n} = own.{quoted(of)}" for n, (_, of) in matched)
        found = "".join(f", {alias}.t{n} as {quoted(name)}" for n, (name, _) in taken)
        return (
            f"select own.*{found} from ({query}) as own left join (select {keys}, {picked} "
            f"from ({self.lookup_rows(connection, lookup, file)}) "
            f"group by {', '.join(f'k{n}' for n, _ in matched)}) as {alias} on {equal}"
        )

    def _files_of(
        self, table: Table, part: Feed | Lookup, events: bool = False
    ) -> tuple[DeliveredFile, ...]:
        """The files of a feed or lookup. Events' files have no month, unless asked for: their rows
        are dated."""
        months: dict[str, date | None] = {}
        for pattern in part.file or ():
            months |= matching(pattern, self.paths)
        return tuple(
            DeliveredFile(
                table, self.path / path, path, month if events or not table.event else None
            )
            for path, month in sorted(months.items())
        )

    def _reader(self, part: Layout) -> DelimitedReader:
        names = self.setting("header", part)
        layout = (
            self.setting("delimiter", part),
            self.setting("quote", part),
            tuple(names) if names else None,
            self.setting("encoding", part),
        )
        if layout not in self._readers:
            self._readers[layout] = DelimitedReader(*layout)
        return self._readers[layout]


def with_lookups(part: Feed | Lookup, place: Place) -> Iterator[tuple[Feed | Lookup, Place]]:
    """A feed and its lookups, with their places in the mapping."""
    yield part, place
    for number, lookup in enumerate(part.lookups):
        yield from with_lookups(lookup, (*place, "lookups", number))


def taken(lookups: Sequence[Lookup]) -> tuple[str, ...]:
    """The names that rows have from lookups."""
    return tuple(name for lookup in lookups for name in lookup.take)
