"""A refresh with `ENGINE=spark` publishes what one with DuckDB does (`make test-spark`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from tests.conftest import PROJECT
from tests.integration.spark import TOLERANCE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("TEST_SPARK"),
        reason="Spark has an environment of its own: make test-spark",
    ),
]

BANK = {"JINGXI_CUSTOMERS": "300", "JINGXI_SEED": "11", "JINGXI_MEMORY": "3GB"}
# What tells when and by what a release was made.
OF_THE_RUN = ("meta",)


def begun(home: Path, engine: str, **others: str) -> subprocess.Popen[str]:
    environment: Mapping[str, str] = {
        **os.environ,
        **BANK,
        **others,
        "JINGXI_HOME": str(home),
        "JINGXI_ENGINE": engine,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration", "refresh"],
        cwd=PROJECT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def refreshed(home: Path, engine: str) -> Path:
    """The release that a refresh publishes."""
    process = begun(home, engine)
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, output
    return served(home)


def served(home: Path) -> Path:
    return (home / "published" / "current.duckdb").resolve()


def job_of(home: Path) -> int:
    """The process of Spark that works for a home; 0 if there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"java") and any(str(home).encode() in word for word in words):
            return int(process.name)
    return 0


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {engine: tmp_path_factory.mktemp(engine) for engine in ("spark", "duckdb")}
    for engine, home in found.items():
        refreshed(home, engine)
    return found


def columns_of(connection: duckdb.DuckDBPyConnection, release: str) -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = ? and not internal order by all",
        [release],
    ).fetchall():
        tables.setdefault(f"{schema}.{table}", {})[column] = kind
    return tables


def test_both_engines_publish_the_same_release(homes: dict[str, Path]) -> None:
    with duckdb.connect() as connection:
        for engine, home in homes.items():
            connection.execute(f"attach '{served(home)}' as of_{engine} (read_only)")
        on_spark, on_duckdb = (columns_of(connection, f"of_{name}") for name in homes)
        assert on_spark == on_duckdb
        differing = {}
        for table, columns in on_spark.items():
            if table.split(".")[0] in OF_THE_RUN:
                continue
            exact = [f'"{name}"' for name, kind in columns.items() if kind != "DOUBLE"]
            close = [f'"{name}"' for name, kind in columns.items() if kind == "DOUBLE"]
            # Rows side by side, in the order of all that is exact.
            rows = {
                engine: connection.execute(
                    f"select {', '.join([*exact, *close])} from of_{engine}.{table} "
                    f"order by {', '.join([*exact, *(f'round({one}, 6)' for one in close)])}"
                ).fetchall()
                for engine in homes
            }
            apart = [
                (one, other)
                for one, other in zip(rows["spark"], rows["duckdb"], strict=False)
                if one[: len(exact)] != other[: len(exact)]
                or any(
                    (a is None) != (b is None)
                    or (a is not None and abs(a - b) > TOLERANCE * max(1, abs(a), abs(b)))
                    for a, b in zip(one[len(exact) :], other[len(exact) :], strict=True)
                )
            ]
            if apart or len(rows["spark"]) != len(rows["duckdb"]):
                differing[table] = (len(rows["spark"]), len(rows["duckdb"]), apart[:1])
        assert differing == {}
        scored = connection.table("of_spark.scores.customer").fetchall()
        assert len(scored) == int(BANK["JINGXI_CUSTOMERS"])


def test_a_killed_job_of_spark_leaves_the_release_served(homes: dict[str, Path]) -> None:
    home = homes["spark"]
    before = served(home)
    content = before.read_bytes()
    process = begun(home, "spark")
    deadline = time.monotonic() + 600
    while not (job := job_of(home)) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(1)
    assert job
    # Amid its work: the session has begun, and dbt builds with it.
    time.sleep(30)
    os.kill(job, signal.SIGKILL)
    output, _ = process.communicate(timeout=900)
    assert process.returncode != 0, output
    assert f"still served: {before.stem}" in output
    assert "nothing was published" in output
    assert served(home) == before and before.read_bytes() == content
    assert refreshed(home, "spark") != before
