"""Spark as the engine of what touches events (`JINGXI_ENGINE=spark`).

dbt builds the layers of `LAYERS` on Spark, in an environment of its own (`make spark`), as Parquet
in the home; DuckDB reads it through views. Everything else is DuckDB's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.platform.environment import DBT_PROJECT, PROJECT
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from sources.delimited import quoted

if TYPE_CHECKING:
    from dagster_dbt import DbtCliResource

ENVIRONMENT = PROJECT / ".venv-spark"
LAYERS = ("base", "value", "features")
# What dbt reads that it does not build: landed records, and what earlier refreshes scored.
SOURCES = "schema_name = 'landing' or (schema_name = 'scores' and name = 'account_default')"

# The comment of the views of its tables, which a release copies.
SHOWN = "a table of Spark"

# A session on this machine. `SPARK_CONF_DIR` replaces it.
CONFIGURATION = """\
spark.master local[{threads}]
spark.driver.memory {memory}m
spark.ui.enabled false
spark.sql.shuffle.partitions {threads}
spark.sql.warehouse.dir {folder}/tables
spark.hadoop.javax.jdo.option.ConnectionURL jdbc:derby:;databaseName={folder}/catalogue;create=true
spark.driver.extraJavaOptions -Dderby.stream.error.file={folder}/derby.log
"""


class SparkMissing(Refused):
    """Spark is not installed."""


def resource() -> DbtCliResource:
    """The dbt command line of Spark's environment.

    Raises
    ------
    SparkMissing
        Without that environment.
    """
    # It takes seconds to import, and a release needs none of it.
    from dagster_dbt import DbtCliResource

    program = ENVIRONMENT / "bin" / "dbt"
    if not program.exists():
        raise SparkMissing(
            f"ENGINE (JINGXI_ENGINE) is invalid: spark needs {ENVIRONMENT}, which is not there. "
            "Run make spark, or set ENGINE=duckdb."
        )
    return DbtCliResource(
        project_dir=str(DBT_PROJECT),
        profiles_dir=str(DBT_PROJECT),
        target="spark",
        dbt_executable=str(program),
    )


def prepare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, str]:
    """The environment variables with which dbt builds on Spark. It reads Parquet: landed months
    where they lie, other sources as they are written here."""
    folder = settings.spark
    given = folder / "given"
    given.mkdir(parents=True, exist_ok=True)
    (as_of,) = connection.execute("select as_of from landing.refresh_window").fetchall()[0]
    found = connection.execute(f"""
        select schema_name, name from (
            select schema_name, table_name as name from duckdb_tables() union all
            select schema_name, view_name from duckdb_views()
        ) where {SOURCES} order by all
    """).fetchall()
    sources = {}
    for schema, name in found:
        month = next(settings.landing.glob(f"{name}/*=*/data.parquet"), None)
        if schema == "landing" and month:
            column = month.parent.name.partition("=")[0]
            files = str(settings.landing / name / f"{column}=*" / "data.parquet")
            sources[f"{schema}.{name}"] = {"files": files, "column": column, "last": str(as_of)}
        else:
            file = str(given / f"{schema}.{name}.parquet")
            connection.execute(f'copy (select * from {schema}."{name}") to ?', [file])
            sources[f"{schema}.{name}"] = {"files": file}
    configuration = folder / "configuration"
    configuration.mkdir(exist_ok=True)
    (configuration / "spark-defaults.conf").write_text(
        CONFIGURATION.format(
            folder=folder,
            threads=settings.engine_threads,
            memory=max(1024, settings.memory_bytes // 2**20),
        )
    )
    return {
        "DBT_SPARK_SOURCES": json.dumps(sources),
        "SPARK_CONF_DIR": os.environ.get("SPARK_CONF_DIR") or str(configuration),
        "SPARK_LOCAL_DIRS": str(settings.scratch / "spark"),
    }


def show(
    connection: duckdb.DuckDBPyConnection, settings: Settings, manifest: Mapping[str, Any]
) -> None:
    """Create a view in the warehouse of each table that Spark keeps; a table without a month has no
    file, and its columns are those that the manifest declares."""
    typed = {
        f"{node['schema']}.{node['alias']}": ", ".join(
            f"null::{column['data_type']} as {quoted(name)}"
            for name, column in node["columns"].items()
            if column.get("data_type")
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    for name, relation in tables(settings.spark).items():
        query = f"from {relation}" if relation else f"select {typed[name]} where false"
        connection.execute(f"create schema if not exists {name.partition('.')[0]}")
        connection.execute(f"create or replace view {name} as {query}")
        connection.execute(f"comment on view {name} is '{SHOWN}'")


def tables(folder: Path) -> dict[str, str]:
    """DuckDB's relation of each table that Spark keeps in a folder, by schema and name; empty for a
    table without a file."""
    found = {}
    for table in sorted((folder / "tables").glob("*.db/*")):
        relation = ""
        if any(table.glob("*.parquet")):
            relation = f"read_parquet('{table}/*.parquet', hive_partitioning = false)"
        elif any(table.glob("month=*/*.parquet")):
            relation = (
                f"read_parquet('{table}/month=*/*.parquet', hive_partitioning = true, "
                "hive_types = {'month': date})"
            )
        found[f"{table.parent.stem}.{table.name}"] = relation
    return found
