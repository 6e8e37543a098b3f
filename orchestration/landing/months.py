"""The landing folder: each table's rows as one Parquet file a month."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb

from orchestration.landing import changes
from orchestration.landing.rules import day
from orchestration.landing.staging import LANDED
from orchestration.landing.window import Window
from sources.contract import TABLES, Table
from sources.delimited import literal, quoted
from sources.interface import DeliveryRefused, Problem, Source
from sources.message import Message

STATE_FILE = "landed.json"


class Months:
    """The folder's months as one run writes them: first beside the current files, then in their
    place."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, window: Window, folder: Path) -> None:
        self.connection = connection
        self.window = window
        self.folder = folder
        self.held = changes.begin(connection)
        self.landed: dict[str, set[date]] = {}

    def write(self, table: Table) -> None:
        """Write each month with rows; of events only the run's months and months whose rows differ
        from the current file."""
        part, names = partition(table), [quoted(n) for n in landed_columns(table)]
        months = self.connection.execute(f"""
            select _month, count(*), {changes.digest(names)} from landing_staged
            where _state = {LANDED} group by _month order by _month""").fetchall()
        self.landed[table.name] = {month for month, _, _ in months}
        if part not in landed_columns(table):
            names.append(f"_month as {part}")
        for month, rows, digest in months:
            if table.event:
                changes.keep(self.connection, table.name, month, rows, digest)
                if not self.window.holds(month) and self._stands(table, month, digest):
                    continue
            path = _file(self.folder / ".writing", table, month)
            path.parent.mkdir(parents=True)
            # Sorted by key, so that the same rows give the same bytes.
            with without_statistics(self.connection):
                self.connection.execute(f"""
                    copy (
                        select {", ".join(names)} from landing_staged
                        where _state = {LANDED} and _month = {day(month)}
                        order by {", ".join(quoted(name) for name in table.key)}
                    ) to {literal(path)} (format parquet, compression zstd)""")

    def _stands(self, table: Table, month: date, digest: int) -> bool:
        """Whether the month's file of an earlier run holds the same rows."""
        same = self.held.get((table.name, month)) == digest
        return same and _file(self.folder, table, month).exists()

    def replace(self, delivered: Collection[str]) -> None:
        writing = self.folder / ".writing"
        for table in TABLES:
            standing = self.folder / table.name
            if table.name not in delivered:
                shutil.rmtree(standing, ignore_errors=True)
                continue
            written = {path.parent.name: path for path in writing.glob(f"{table.name}/*/*.parquet")}
            if table.event:
                changes.forget(self.connection, table.name, [_month(name) for name in written])
            for folder in sorted(standing.glob(f"{partition(table)}=*")):
                month = _month(folder.name)
                if month not in self.landed[table.name] and month <= self.window.as_of:
                    shutil.rmtree(folder)
            for name, path in sorted(written.items()):
                (standing / name).mkdir(parents=True, exist_ok=True)
                os.replace(path, standing / name / path.name)
        self.drop()

    def drop(self) -> None:
        """Remove the files that were written and not moved into place."""
        shutil.rmtree(self.folder / ".writing", ignore_errors=True)

    def view(self, table: Table, delivered: Collection[str]) -> str:
        part = partition(table)
        files = self.folder / table.name / f"{part}=*" / "data.parquet"
        if table.name not in delivered or not any(
            (self.folder / table.name).glob(f"{part}=*/data.parquet")
        ):
            return nothing(table)
        # Leave out months of an earlier run with a later as-of date.
        return (
            f"select * from read_parquet({literal(files)}, hive_partitioning = false) "
            f"where {part} <= {day(self.window.as_of)}"
        )


def partition(table: Table) -> str:
    return "month" if table.event else "extract_month"


def _month(folder: str) -> date:
    return date.fromisoformat(folder.partition("=")[2] + "-01")


def _file(folder: Path, table: Table, month: date) -> Path:
    return folder / table.name / f"{partition(table)}={month:%Y-%m}" / "data.parquet"


def landed_columns(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.personal]


def nothing(table: Table) -> str:
    """A query of the landed columns, typed, without rows."""
    kinds = {column.name: column.type for column in table.columns if not column.personal}
    kinds.setdefault(partition(table), "DATE")
    columns = ", ".join(f"null::{kind} as {quoted(name)}" for name, kind in kinds.items())
    return f"select {columns} where false"


@contextmanager
def without_statistics(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Make each month's file independent of the other months. DuckDB writes a column without NULLs
    differently: with the statistics of the whole stage one NULL in a later month would change every
    file."""
    ((before,),) = connection.execute("select current_setting('disabled_optimizers')").fetchall()
    connection.execute("set disabled_optimizers = 'statistics_propagation'")
    try:
        yield
    finally:
        connection.execute(f"set disabled_optimizers = {literal(before)}")


def claim(folder: Path, source: Source, window: Window) -> None:
    """Clear the folder of months of another bank or another first month.

    Raises
    ------
    DeliveryRefused
        When there are such months and the run does not cover the whole history.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / ".writing", ignore_errors=True)
    state = folder / STATE_FILE
    if not state.exists():
        return
    try:
        standing = json.loads(state.read_text(encoding="utf-8"))
    except ValueError:
        # The file is damaged: the bank of these months is unknown.
        standing = {"identity": "an unknown bank", "first_month": "an unknown month"}
    wanted = {"identity": source.identity, "first_month": window.first_month.isoformat()}
    if standing == wanted:
        return
    if not window.whole:
        raise DeliveryRefused(
            [
                Problem(
                    str(folder),
                    "",
                    Message(
                        "holds the months of {0} from {1}; this run lands only some months of {2}",
                        *(standing["identity"], standing["first_month"], source.identity),
                    ),
                    Message("Refresh the whole history, or use another HOME (JINGXI_HOME)."),
                )
            ]
        )
    state.unlink()
    for table in TABLES:
        shutil.rmtree(folder / table.name, ignore_errors=True)
