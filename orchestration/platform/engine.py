"""DuckDB as every part of jingxi opens it: one memory budget, spilling inside the home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

IN_UTC = "set TimeZone = 'UTC'"


class WarehouseBusy(Refused):
    """Another process writes the build warehouse."""


@contextmanager
def connect(
    settings: Settings, database: Path | None = None, *, read_only: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a file, or to a database in memory, closed at the end.

    What does not fit the settings' memory is spilled to the home. Closing matters: dbt runs in a
    process of its own, and an open handle here locks it out. The session's time zone is UTC,
    whatever the machine's: else the day of a zoned timestamp depends on where the refresh runs.

    Raises
    ------
    WarehouseBusy
        When another process holds the file.
    """
    # A reader holds no lock: what it spills must outlast the next refresh's emptying of `scratch`.
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
                # One for each process: the engine's own file names are the same everywhere.
                "temp_directory": str(spill / f"engine-{os.getpid()}"),
            },
        )
    except duckdb.IOException as error:
        if "lock" not in str(error):
            raise
        raise WarehouseBusy(
            f"{database} is being written by another process; wait for that refresh to end, "
            "or close the program that has the build warehouse open "
            "(readers should open published/current.duckdb, which is never locked)"
        ) from error
    try:
        connection.execute(IN_UTC)
        yield connection
    finally:
        connection.close()
