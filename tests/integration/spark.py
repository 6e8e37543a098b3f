"""The dbt project on Spark: what it builds of a warehouse's landing, compared with DuckDB's tables.

Spark runs in an environment of its own (`make test-spark`), as a session on this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.optional_tables import has_table
from sources.contract import TABLES
from sources.delimited import quoted
from tests.conftest import PROJECT

ENVIRONMENT = PROJECT / ".venv-spark"
# What touches events, and what is built in the same step.
SCOPE = ("tag:staging", "tag:base", "tag:value", "tag:features")
# A double is a sum, a logarithm or a power: their last digits differ between engines. A discounted
# amount is a double that is rounded to twelve places.
APPROXIMATE = ("DOUBLE", "DECIMAL(38,12)")
TOLERANCE = 1e-9

CONFIGURATION = """\
spark.master local[2]
spark.driver.memory 3072m
spark.ui.enabled false
spark.sql.shuffle.partitions 2
spark.sql.warehouse.dir {folder}/tables
spark.hadoop.javax.jdo.option.ConnectionURL jdbc:derby:;databaseName={folder}/catalogue;create=true
spark.driver.extraJavaOptions -Dderby.stream.error.file={folder}/derby.log
"""


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


def prepare(connection: duckdb.DuckDBPyConnection, home: Path) -> dict[str, str]:
    """The environment variables with which dbt builds on Spark. It reads Parquet: landed months
    where they lie, other sources as they are written here."""
    folder = home / "spark"
    given = folder / "given"
    given.mkdir(parents=True, exist_ok=True)
    names = [("landing", "refresh_window"), *(("landing", table.name) for table in TABLES)]
    # What earlier refreshes scored.
    if has_table(connection, "scores", "account_default"):
        names.append(("scores", "account_default"))
    ((as_of,),) = connection.execute("select as_of from landing.refresh_window").fetchall()
    sources: dict[str, dict[str, str]] = {}
    for schema, name in names:
        month = next((home / "landing").glob(f"{name}/*=*/data.parquet"), None)
        if schema == "landing" and month:
            column = month.parent.name.partition("=")[0]
            files = str(home / "landing" / name / f"{column}=*" / "data.parquet")
            sources[f"{schema}.{name}"] = {
                "files": files,
                "column": column,
                "last": str(as_of),
            }
        else:
            files = str(given / f"{schema}.{name}.parquet")
            connection.table(f"{schema}.{quoted(name)}").write_parquet(files)
            sources[f"{schema}.{name}"] = {"files": files}
    configuration = folder / "configuration"
    configuration.mkdir(exist_ok=True)
    (configuration / "spark-defaults.conf").write_text(CONFIGURATION.format(folder=folder))
    return {
        "DBT_SPARK_SOURCES": json.dumps(sources),
        "SPARK_CONF_DIR": str(configuration),
        "SPARK_LOCAL_DIRS": str(folder / "spilled"),
    }


def build(
    warehouse: Path, home: Path, *arguments: str, reference: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run dbt on Spark on the landing of a warehouse; Spark keeps its tables in `home`."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        environment = prepare(connection, home)
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
            *(str(ENVIRONMENT / "bin" / "dbt"), "--no-use-colors", *arguments),
            *(f"--{name}={at}" for name, at in places.items()),
        ],
        cwd=home,
        env={**os.environ, "DBT_WAREHOUSE": "", "DO_NOT_TRACK": "1", **environment},
        capture_output=True,
        text=True,
    )


def tables(home: Path) -> dict[str, dict[str, Any]]:
    """The Parquet files of each table that Spark keeps, by schema and name; whether folders give
    the month; no files of a table by months that has none."""
    found = {}
    for table in sorted((home / "spark" / "tables").glob("*.db/*")):
        by_month = not any(table.glob("*.parquet"))
        files = str(table / "month=*" / "*.parquet" if by_month else table / "*.parquet")
        is_empty = by_month and not any(table.glob("month=*/*.parquet"))
        found[f"{table.parent.stem}.{table.name}"] = {
            "files": "" if is_empty else files,
            "by_month": by_month,
        }
    return found


def compare(warehouse: Path, home: Path) -> list[Compared]:
    """Every table that Spark built, row by row: doubles to `TOLERANCE`, everything else exactly."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return [
            # A table without a file has no rows, and no types to compare.
            _compared(connection, name, _relation(kept) or f"(from {name} where false)")
            for name, kept in tables(home).items()
        ]


def _relation(kept: Mapping[str, Any]) -> str:
    months = ", hive_types = {'month': date}" if kept["by_month"] else ""
    files = f"read_parquet('{kept['files']}', hive_partitioning = {kept['by_month']}{months})"
    return files if kept["files"] else ""


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    rows = connection.execute(f"describe select * from {relation}").fetchall()
    return {row[0]: row[1] for row in rows}


def _compared(connection: duckdb.DuckDBPyConnection, name: str, relation: str) -> Compared:
    ours, theirs = _columns(connection, name), _columns(connection, relation)
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
            from ({keyed(name)}) as ours full join ({keyed(relation)}) as theirs
                on ours.key = theirs.key and ours.place = theirs.place
        )
        select count(ours), count(theirs),
            count(*) filter (where apart is null or apart > ?), coalesce(max(apart), 0)
        from paired
        """,
        [TOLERANCE],
    ).fetchall()
    return Compared(name, rows, spark_rows, differing, largest, tuple(types))
