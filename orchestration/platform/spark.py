"""Spark as the engine of what touches events (`JINGXI_ENGINE=spark`).

dbt builds the layers of `LAYERS` on Spark, in an environment of its own (`make spark`), as Parquet
in the home; DuckDB reads it through views. Everything else is DuckDB's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.platform.environment import DBT_PROJECT, PROJECT
from orchestration.platform.optional_tables import has_table
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings
from sources.contract import TABLES
from sources.delimited import quoted

if TYPE_CHECKING:
    from dagster_dbt import DbtCliResource

ENVIRONMENT = PROJECT / ".venv-spark"
LAYERS = ("base", "value", "features")
# The comment of the views of Spark's tables (macros/portable/sources.sql), which a release copies.
SHOWN = "a table of Spark"

# A session on this machine. `SPARK_CONF_DIR` replaces it.
CONFIGURATION = """\
spark.master local[{threads}]
spark.driver.memory {memory}m
spark.ui.enabled false
spark.ui.showConsoleProgress false
spark.sql.shuffle.partitions {threads}
spark.sql.warehouse.dir {folder}/tables
spark.hadoop.javax.jdo.option.ConnectionURL jdbc:derby:;databaseName={folder}/catalogue;create=true
spark.driver.extraJavaOptions -Dderby.stream.error.file={folder}/derby.log
"""


# Apart from dbt's events, as its bar of progress: amid one of them it would lose the event.
LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {folder}/spark.log
appender.file.append = false
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c: %m%n%ex
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
        dbt_executable=str(program),
    )


def prepare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, str]:
    """The environment variables with which dbt builds on Spark. It reads Parquet: landed months
    where they lie, other sources as they are written here."""
    folder = settings.spark
    given = folder / "given"
    given.mkdir(parents=True, exist_ok=True)
    names = [("landing", "refresh_window"), *(("landing", table.name) for table in TABLES)]
    # What earlier refreshes scored.
    if has_table(connection, "scores.account_default"):
        names.append(("scores", "account_default"))
    sources = {}
    for schema, name in names:
        month = next(settings.landing.glob(f"{name}/*=*/data.parquet"), None)
        if schema == "landing" and month:
            column = month.parent.name.partition("=")[0]
            files = str(settings.landing / name / f"{column}=*" / "data.parquet")
            sources[f"{schema}.{name}"] = {"files": files, "column": column}
        else:
            files = str(given / f"{schema}.{name}.parquet")
            connection.table(f"{schema}.{quoted(name)}").write_parquet(files)
            sources[f"{schema}.{name}"] = {"files": files}
    configuration = folder / "configuration"
    configuration.mkdir(exist_ok=True)
    (configuration / "spark-defaults.conf").write_text(
        CONFIGURATION.format(
            folder=folder,
            threads=settings.engine_threads,
            memory=max(1024, settings.memory_bytes // 2**20),
        )
    )
    (configuration / "log4j2.properties").write_text(LOGGING.format(folder=folder))
    return {
        "DBT_SPARK_SOURCES": json.dumps(sources),
        "SPARK_CONF_DIR": os.environ.get("SPARK_CONF_DIR") or str(configuration),
        "SPARK_LOCAL_DIRS": str(settings.scratch / "spark"),
        "DBT_SPARK_SESSION": str(_session(settings)),
    }


def session(settings: Settings) -> dict[str, str]:
    """The versions of Spark and Java as Spark itself gave them when dbt last began."""
    files = duckdb.read_parquet(str(_session(settings) / "*.parquet"))
    ((engine, java),) = files.project("engine_version, java_version").fetchall()
    return {"engine_version": engine, "java_version": java}


def _session(settings: Settings) -> Path:
    return settings.spark / "session"


def tables(settings: Settings) -> dict[str, dict[str, Any]]:
    """The Parquet files of each table that Spark keeps, by schema and name; whether folders give
    the month; no files of a table by months that has none."""
    found = {}
    for table in sorted((settings.spark / "tables").glob("*.db/*")):
        by_month = not any(table.glob("*.parquet"))
        files = str(table / "month=*" / "*.parquet" if by_month else table / "*.parquet")
        is_empty = by_month and not any(table.glob("month=*/*.parquet"))
        found[f"{table.parent.stem}.{table.name}"] = {
            "files": "" if is_empty else files,
            "by_month": by_month,
        }
    return found
