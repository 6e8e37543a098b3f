"""Parquet files: the number of rows, the columns, the query that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from sources.delimited import literal


def parquet_relation(path: Path) -> str:
    """A query yielding the file's columns and `file_row_number`, from 0."""
    # Old writers do not mark text columns as text.
    return (
        f"select * from read_parquet({literal(path)}, file_row_number = true, "
        "hive_partitioning = false, binary_as_string = true)"
    )


def parquet_rows(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The number of rows in the file's footer."""
    ((rows,),) = connection.execute(
        f"select num_rows from parquet_file_metadata({literal(path)})"
    ).fetchall()
    return int(rows)


def parquet_names(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, ...]:
    """The columns as in the file; DuckDB itself renames the second of two equal names."""
    rows = iter(
        connection.execute(
            f"select name, coalesce(num_children, 0) from parquet_schema({literal(path)})"
        ).fetchall()
    )

    def names(count: int, keep: bool) -> Iterator[str]:
        for _ in range(count):
            name, children = next(rows)
            if keep:
                yield name
            yield from names(children, False)

    _, columns = next(rows)
    return tuple(names(columns, True))
