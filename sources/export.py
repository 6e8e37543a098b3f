"""Export the synthetic bank's delivery as Parquet or CSV."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb


def export_delivery(
    connection: duckdb.DuckDBPyConnection, delivery: Path, folder: Path, file_format: str
) -> int:
    """Copy a delivery of Parquet files into a folder; returns the number of files.

    Raises
    ------
    ValueError
        When the folder is not empty: two deliveries must not mix.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty. Export into a new folder.")
    paths = sorted(delivery.rglob("*.parquet"))
    for path in paths:
        target = folder / path.relative_to(delivery)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file_format == "parquet":
            shutil.copyfile(path, target)
            continue
        source, out = (str(name).replace("'", "''") for name in (path, target.with_suffix(".csv")))
        connection.execute(
            f"copy (from read_parquet('{source}')) to '{out}' (header, delimiter ',')"
        )
    return len(paths)
