"""The interface of a source: its problems, found in advance, and its files as queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import duckdb

from sources.message import Message

SET_PATH = Message("Set SOURCE_PATH (JINGXI_SOURCE_PATH) to the folder with the delivered files.")


def no_folder(path: Path) -> Message:
    """What is wrong with a delivery's path that is no folder."""
    return Message("is not a folder") if path.exists() else Message("does not exist")


@dataclass(frozen=True)
class Problem:
    """A reason to refuse a delivery: where, what is wrong, what to do."""

    file: str
    column: str
    what: str
    cure: str

    @property
    def message(self) -> Message:
        column = self.column
        where = Message("{0}, column {1}", self.file, column) if column else self.file
        return Message("{0}: {1}. {2}", where, self.what, self.cure)

    def __str__(self) -> str:
        return str(self.message)


class DeliveryRefused(ValueError):
    """The delivery has problems and nothing is built from it; the message lists all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        found = Message("the delivery is refused, {0} problem(s):", len(problems))
        for number, problem in enumerate(problems, 1):
            found = Message("{0}\n  {1}. {2}", found, number, problem.message)
        super().__init__(found)

    @property
    def places(self) -> list[str]:
        """Files and columns of the problems, without what was found in them."""
        found = (
            f"{one.file}, column {one.column}" if one.column else one.file for one in self.problems
        )
        return [f"delivery refused: {place}" for place in dict.fromkeys(found)]


@dataclass(frozen=True)
class SourceFile:
    """One delivered file that feeds one table of the contract.

    `relation` is a SQL query over the file. It yields the columns named in `columns` (contract
    names, in the file's own types or as text) and `_row`, the 1-based number of the data row in the
    file; a reader of delimited text may add `_malformed`, why a line could not be split (or NULL).
    Landing casts, checks and dates; a source only maps names and codes.
    `extract_month` is the month of a master's extract (its first day); None if there is only one.
    `records` is the number of data rows, counted independently of `relation`, and `sha256` the
    digest of the bytes, taken before they are read; None if the source has not determined them.
    Landing refuses a file if the rows or bytes landed differ from these. `label` is the file's name
    in messages; None for its path below the folder that all files have in common.
    """

    table: str
    path: Path
    relation: str
    columns: tuple[str, ...]
    extract_month: date | None = None
    records: int | None = None
    sha256: str | None = None
    label: str | None = None


class Source(Protocol):
    """A bank's records. `identity` changes whenever the records could be another bank's."""

    name: str

    def first_month(self, connection: duckdb.DuckDBPyConnection) -> str:
        """First month of the history, `YYYY-MM`."""

    @property
    def identity(self) -> str: ...

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Prepare the records for reading (the synthetic bank is generated here)."""

    def problems(self, connection: duckdb.DuckDBPyConnection) -> list[Problem]:
        """Everything that makes the delivery unreadable, all at once."""

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        """The delivered files, one entry for each table that a file feeds."""
