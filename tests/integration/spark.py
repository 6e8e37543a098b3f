"""The dbt project on Spark: what it builds of a warehouse's landing, compared with DuckDB's tables.

Spark runs in an environment of its own (`make test-spark`), as a session on this machine.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.platform import spark
from orchestration.platform.built_by import APPROXIMATE, TOLERANCE
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.settings import Settings

# What touches events, and what is built in the same step.
SCOPE = ("tag:staging", "tag:base", "tag:value", "tag:features")


@dataclass(frozen=True)
class Compared:
    """A table of both engines: rows of each, rows that differ, the largest relative difference of a
    double; `types` names columns that one engine lacks or has in another type."""

    table: str
    rows: int
    spark_rows: int
    differing: int
    largest: float
    types: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        return not self.types and not self.differing and self.rows == self.spark_rows


def build(
    warehouse: Path, home: Path, *arguments: str, reference: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run dbt on Spark on the landing of a warehouse; Spark keeps its tables in `home`."""
    settings = Settings(home=home, memory="3GB")
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        environment = spark.prepare(connection, settings)
    if reference:
        environment["DBT_REFERENCE"] = str(reference)
        environment["DBT_REFERENCE_SEEDS"] = ",".join(file.stem for file in reference.glob("*.csv"))
    places = {
        "project-dir": DBT_PROJECT,
        "profiles-dir": DBT_PROJECT,
        "target-path": home / "target",
        "log-path": home,
        "target": "spark",
    }
    return subprocess.run(
        [
            *(str(spark.ENVIRONMENT / "bin" / "dbt"), "--no-use-colors", *arguments),
            *(f"--{name}={at}" for name, at in places.items()),
        ],
        cwd=home,
        env={**os.environ, "DBT_WAREHOUSE": "", "DO_NOT_TRACK": "1", **environment},
        capture_output=True,
        text=True,
    )


def compare(warehouse: Path, home: Path) -> list[Compared]:
    """Every table that Spark built, row by row: doubles to `TOLERANCE`, everything else exactly."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return [
            # A table without a file has no rows, and no types to compare.
            compared(connection, name, name, _relation(kept) or f"(from {name} where false)")
            for name, kept in spark.tables(Settings(home=home)).items()
        ]


def _relation(kept: Mapping[str, Any]) -> str:
    """The Parquet files as macros/portable/sources.sql shows them."""
    months = ", hive_types = {'month': date}" if kept["by_month"] else ""
    files = f"read_parquet('{kept['files']}', hive_partitioning = {kept['by_month']}{months})"
    return files if kept["files"] else ""


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    rows = connection.execute(f"describe select * from {relation}").fetchall()
    return {row[0]: row[1] for row in rows}


def compared(
    connection: duckdb.DuckDBPyConnection, name: str, on_duckdb: str, on_spark: str
) -> Compared:
    """A table of both engines, each as what may follow `from`."""
    ours, theirs = _columns(connection, on_duckdb), _columns(connection, on_spark)
    types = [
        f"{column}: {ours.get(column)} on DuckDB, {theirs.get(column)} on Spark"
        for column in {**ours, **theirs}
        if ours.get(column) != theirs.get(column)
    ]
    shared = [column for column in ours if column in theirs]
    doubles = [f'"{column}"' for column in shared if ours[column] in APPROXIMATE]
    exact = [f'"{column}"' for column in shared if ours[column] not in APPROXIMATE]
    order = f"order by {', '.join(doubles)}" if doubles else ""
    apart = (
        f"""greatest({
            ", ".join(
                f"case when ours.{one} is null and theirs.{one} is null then 0 "
                f"else coalesce(abs(ours.{one} - theirs.{one}) "
                f"/ greatest(1, abs(ours.{one}), abs(theirs.{one})), 'inf') end"
                for one in doubles
            )
        })"""
        if doubles
        else "0.0"
    )

    # Rows with equal exact values are paired in the order of their doubles.
    def keyed(source: str) -> str:
        return f"""
            select *, row_number() over (partition by key {order}) as place
            from (select *, to_json(struct_pack({", ".join(exact)})) as key from {source})
        """

    ((rows, spark_rows, differing, largest),) = connection.execute(
        f"""
        with paired as (
            select ours.key as ours, theirs.key as theirs,
                case when ours.key is not null and theirs.key is not null then {apart} end as apart
            from ({keyed(on_duckdb)}) as ours full join ({keyed(on_spark)}) as theirs
                on ours.key = theirs.key and ours.place = theirs.place
        )
        select count(ours), count(theirs),
            count(*) filter (where apart is null or apart > ?), coalesce(max(apart), 0)
        from paired
        """,
        [TOLERANCE],
    ).fetchall()
    return Compared(name, rows, spark_rows, differing, largest, tuple(types))
