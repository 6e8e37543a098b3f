"""The dbt project on Spark: what it builds of a warehouse's landing, compared with DuckDB's tables.

Spark reads the sources as Parquet and writes Parquet, a folder for each month where dbt builds by
months. It runs in an environment of its own (`make test-spark`): a session with its own catalogue.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.platform.environment import DBT_PROJECT
from tests.conftest import PROJECT

# What touches events, and what is built in the same step.
SCOPE = ("tag:staging", "tag:base", "tag:value", "tag:features")
# Landed records, and what earlier refreshes scored.
SOURCES = "schema_name = 'landing' or (schema_name = 'scores' and name = 'account_default')"
# A double is a sum, a logarithm or a power: their last digits differ between engines.
TOLERANCE = 1e-9

CONFIGURATION = """\
spark.master local[2]
spark.driver.memory 3g
spark.ui.enabled false
spark.sql.shuffle.partitions 2
spark.sql.warehouse.dir {folder}/tables
spark.hadoop.javax.jdo.option.ConnectionURL jdbc:derby:;databaseName={folder}/catalogue;create=true
spark.driver.extraJavaOptions -Dderby.stream.error.file={folder}/derby.log -XX:TieredStopAtLevel=1
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


def environment() -> Path:
    """The folder of Spark's environment."""
    return Path(os.environ.get("TEST_SPARK") or PROJECT / ".venv-spark")


def hand_over(warehouse: Path, folder: Path, landing: Path | None = None) -> str:
    """The sources as Parquet: months landed in `landing` where they lie, the rest in `folder`.

    Returns what DBT_SPARK_SOURCES holds.
    """
    folder.mkdir(parents=True)
    given = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        (as_of,) = connection.execute("select as_of from landing.refresh_window").fetchall()[0]
        tables = connection.execute(f"""
            select schema_name, name from (
                select schema_name, table_name as name from duckdb_tables() union all
                select schema_name, view_name from duckdb_views()
            ) where {SOURCES} order by all
        """).fetchall()
        for schema, name in tables:
            source = {"files": str(folder / f"{schema}.{name}.parquet")}
            months = sorted(landing.glob(f"{name}/*=*/data.parquet")) if landing else []
            if months and schema == "landing":
                column = months[0].parent.name.partition("=")[0]
                files = str(landing / name / f"{column}=*" / "data.parquet")
                source = {"files": files, "column": column, "last": str(as_of)}
            else:
                connection.execute(
                    f'copy (select * from {schema}."{name}") to ?', [source["files"]]
                )
            given[f"{schema}.{name}"] = source
    return json.dumps(given)


def build(
    folder: Path, sources: str, *arguments: str, reference: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run dbt on Spark, which keeps its tables and its catalogue in `folder`."""
    configuration = folder / "configuration"
    configuration.mkdir(parents=True, exist_ok=True)
    (configuration / "spark-defaults.conf").write_text(CONFIGURATION.format(folder=folder))
    settings = {
        "DBT_SPARK_SOURCES": sources,
        "SPARK_CONF_DIR": str(configuration),
        "SPARK_LOCAL_DIRS": str(folder / "spilled"),
        "DBT_WAREHOUSE": "",
        "DO_NOT_TRACK": "1",
    }
    if reference:
        settings["DBT_REFERENCE"] = str(reference)
        settings["DBT_REFERENCE_SEEDS"] = ",".join(file.stem for file in reference.glob("*.csv"))
    places = {
        "project-dir": DBT_PROJECT,
        "profiles-dir": DBT_PROJECT,
        "target-path": folder / "target",
        "log-path": folder,
        "target": "spark",
    }
    return subprocess.run(
        [
            *(str(environment() / "bin" / "dbt"), "--no-use-colors", *arguments),
            *(f"--{name}={at}" for name, at in places.items()),
        ],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )


def tables(folder: Path) -> dict[str, str]:
    """DuckDB's relation of each table that Spark keeps in `folder`, by schema and name."""
    found = {}
    for place in sorted((folder / "tables").glob("*.db/*")):
        name = f"{place.parent.stem}.{place.name}"
        if any(place.glob("*.parquet")):
            found[name] = f"read_parquet('{place}/*.parquet', hive_partitioning = false)"
        elif any(place.glob("month=*/*.parquet")):
            found[name] = (
                f"read_parquet('{place}/month=*/*.parquet', hive_partitioning = true, "
                "hive_types = {'month': date})"
            )
        else:
            # A table without a month has no file, nor types.
            found[name] = f"(select * from {name} where false)"
    return found


def compare(warehouse: Path, folder: Path) -> list[Compared]:
    """Every table that Spark built, row by row: doubles to `TOLERANCE`, everything else exactly."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return [_compared(connection, name, relation) for name, relation in tables(folder).items()]


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
    doubles = [f'"{column}"' for column in shared if ours[column] == "DOUBLE"]
    exact = [f'"{column}"' for column in shared if ours[column] != "DOUBLE"]
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
