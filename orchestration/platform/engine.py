"""DuckDB connections: one memory budget, spilling inside the home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.platform.refusal import Refused, Retryable
from orchestration.platform.settings import Settings

IN_UTC = "set TimeZone = 'UTC'"


class WarehouseBusy(Refused, Retryable):
    """Another process writes the build warehouse."""


@contextmanager
def connect_in_memory(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a database in memory that writes nothing, not even a temporary file."""
    connection = duckdb.connect(
        config={
            "memory_limit": settings.engine_memory,
            "threads": settings.engine_threads,
            "temp_directory": "",
        }
    )
    try:
        connection.execute(IN_UTC)
        yield connection
    finally:
        connection.close()


@contextmanager
def connect(
    settings: Settings, database: Path | None = None, *, read_only: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a file, or to a database in memory, closed at the end.

    DuckDB spills to the home what does not fit the settings' memory. Closing matters: dbt runs in a
    process of its own, and an open handle here locks it out. The session's time zone is UTC, so
    that the day of a zoned timestamp does not depend on the machine.

    Raises
    ------
    WarehouseBusy
        When another process holds the file.
    """
    # A reader holds no lock: it must not spill to `scratch`, which the next refresh empties.
    spill = settings.temporary if read_only else settings.scratch
    if not read_only:
        spill.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(
            str(database) if database else ":memory:",
            read_only=read_only,
            config={
                "memory_limit": settings.engine_memory,
                "threads": settings.engine_threads,
                # One folder per process: DuckDB's file names are the same in every process.
                "temp_directory": str(spill / f"engine-{os.getpid()}"),
            },
        )
    except duckdb.IOException as error:
        if "lock" not in str(error):
            raise
        raise WarehouseBusy(
            f"{database} is locked by another process. Wait for that refresh to end, or close the "
            "program that has the build warehouse open (to read, open published/current.duckdb, "
            "which is never locked)."
        ) from error
    try:
        connection.execute(IN_UTC)
        yield connection
    finally:
        connection.close()
