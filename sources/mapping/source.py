"""The source `files` with a mapping: a bank's files as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import duckdb

from sources.booking_range import first_booking_month
from sources.contract import TABLES
from sources.interface import SET_PATH, Problem, SourceFile, no_folder
from sources.mapping.checks import problems_of
from sources.mapping.places import matching
from sources.mapping.reading import Draft, read_mapping
from sources.mapping.relations import Fed, Relations
from sources.message import Message


class MappedFiles:
    """A folder of a bank's files, read through its mapping.

    The mapping is no part of the identity: another mapping of the same bank's files changes the
    rows that land, and landing finds the months with changed rows.

    Parameters
    ----------
    path
        The delivery's folder.
    mapping
        The mapping's file (docs/mapping.md).
    """

    name = "files"

    def __init__(self, path: Path, mapping: Path) -> None:
        self.path = path
        self.mapping = mapping

    @property
    def identity(self) -> str:
        return f"{self.name}:{self.path.resolve()}"

    @cached_property
    def draft(self) -> Draft:
        """The mapping and its problems."""
        return read_mapping(self.mapping)

    @cached_property
    def _relations(self) -> Relations:
        return Relations(self.path, self.draft)

    def first_month(self, connection: duckdb.DuckDBPyConnection) -> str:
        """The month of the first booking."""
        return first_booking_month(connection, self)

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Nothing to do: the files are delivered."""

    def problems(self, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
        """Everything that is wrong with the mapping and the delivery, all at once."""
        if not self.path.is_dir():
            missing = Problem(str(self.path), "", no_folder(self.path), SET_PATH)
            return [*self.draft.problems, missing]
        found = [*self.draft.problems, *problems_of(connection, self._relations)]
        # A file that feeds several tables has each problem of its own once.
        return list(dict.fromkeys(found))

    def notes(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """What is missing or not read, and what that switches off; one line each."""
        relations, lines = self._relations, list[str]()
        given: dict[str, list[Fed]] = defaultdict(list)
        for fed in relations.feds:
            full = [file for file in fed.files if relations.records(connection, fed, file) != 0]
            lines += [
                Message("{0}: ignored, no rows", file.label)
                for file in fed.files
                if file not in full
            ]
            if full or fed.feed.rows:
                given[fed.table.name].append(fed)
            for file in full:
                if left_out := relations.left_out(connection, fed, file):
                    lines.append(
                        Message(
                            "{0}: {1} row(s) do not meet `{2}` and are not read as {3}",
                            *(file.label, f"{left_out:,}", str(fed.feed.where), fed.table.name),
                        )
                    )
        for table in TABLES:
            if table.name not in given:
                lines.append(table.loss)
                continue
            mapped = {name for fed in given[table.name] for name in fed.names}
            lacking = [name for name in table.column_names if name not in mapped]
            if lacking:
                names = ", ".join(f"`{name}`" for name in lacking)
                lines.append(Message("`{0}` has no {1}: read as unknown", table.name, names))
                lines += table.losses(lacking)
        name = self.mapping.name
        return lines + [
            Message("{0}: not read, {1} does not name it", path, name) for path in relations.unread
        ]

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        relations, found = self._relations, list[SourceFile]()
        for fed in relations.feds:
            if fed.feed.rows:
                found.append(relations.own_rows(fed))
            found += [
                relations.source_file(connection, fed, file)
                for file in fed.files
                if relations.records(connection, fed, file) != 0
            ]
        return found

    def missing(self, paths: Collection[str]) -> list[str]:
        """Files of required tables that the mapping names and that are not among the paths."""
        return [
            pattern
            for fed in self._relations.feds
            for pattern in fed.feed.file or ()
            if fed.table.required and not fed.feed.optional and not matching(pattern, paths)
        ]
