"""A refresh with `ENGINE=spark` publishes what one with DuckDB does (`make test-spark`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.operations.jobs import refresh_tags
from orchestration.platform.built_by import TOLERANCE
from orchestration.platform.runs import REFRESH
from sources.export import export_delivery
from sources.synthetic import SyntheticBank
from tests.acceptance.test_ui import serving
from tests.conftest import PROJECT, real_data
from tests.integration.spark import compared

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("TEST_SPARK"),
        reason="Spark has an environment of its own: make test-spark",
    ),
]

# A short history: each month is a folder of each table.
SMALL = {"customers": 120, "seed": 7, "months": 12}
# Enough contacts for the models that a plan needs; few bookings.
PLANNED = {"customers": 2000, "seed": 20, "bookings_per_month": 1.0}
# A small bank is done before Java's second compiler pays: it and the collector of garbage took half
# of the processors' time. The launcher of Spark reads the variable and prints nothing amid events.
JAVA = {"SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
# What tells when and by what a release was made.
OF_THE_RUN = ("meta",)
Homes = dict[str, Path]


def begun(home: Path, engine: str, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    named = {"HOME": str(home), "ENGINE": engine, **settings}
    environment: Mapping[str, str] = {
        **os.environ,
        **JAVA,
        **{f"JINGXI_{name}": value for name, value in named.items()},
    }
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration", "refresh", *arguments],
        cwd=PROJECT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def refreshed(home: Path, engine: str, *arguments: str, **settings: str) -> Path:
    """The release that a refresh publishes."""
    process = begun(home, engine, *arguments, **settings)
    output, _ = process.communicate(timeout=3600)
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


def newest(home: Path) -> float:
    """When Spark last wrote a file of base."""
    files = (home / "build/spark/tables/base.db").rglob("*.parquet")
    return max((status.st_mtime for file in files if (status := stat_of(file))), default=0.0)


def stat_of(file: Path) -> os.stat_result | None:
    """Nothing of a file that Spark has moved or removed meanwhile."""
    try:
        return file.stat()
    except OSError:
        return None


def both(place: Path, *arguments: str, **settings: str) -> Homes:
    """The homes of a bank that each engine refreshes."""
    homes = {engine: place / engine for engine in ("spark", "duckdb")}
    for engine, home in homes.items():
        refreshed(home, engine, *arguments, **settings)
    return homes


def delivered(place: Path, bank: Mapping[str, Any]) -> dict[str, str]:
    """The settings of a refresh of a synthetic bank, whose delivery is written."""
    with duckdb.connect() as connection:
        made = SyntheticBank(place / "made", place / "truth", **bank)
        made.prepare(connection)
        export_delivery(connection, made.delivery, place / "delivery", "csv")
    return {"SOURCE": "files", "SOURCE_PATH": str(place / "delivery"), "MEMORY": "3GB"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Homes, dict[str, str]]:
    """The homes of a small bank, and the settings of their refresh."""
    place = tmp_path_factory.mktemp("small")
    settings = delivered(place, SMALL)
    return both(place, **settings), settings


def assert_same_release(homes: Homes) -> None:
    """The served releases agree by `meta.engine` alone, and cell by cell."""
    with duckdb.connect() as connection:
        for engine, home in homes.items():
            connection.execute(f"attach '{served(home)}' as of_{engine} (read_only)")
        on_spark, on_duckdb = (
            {row[0]: row[1:] for row in connection.execute(
                "select table_name, engine, java_version is not null, rows, digest, "
                f"doubles, digest_version from of_{engine}.meta.engine"
            ).fetchall()}
            for engine in ("spark", "duckdb")
        )  # fmt: skip
        assert len(on_spark) > 90 and set(on_spark) == set(on_duckdb)
        assert {row[:2] for row in on_spark.values()} == {("spark", True)}
        assert {row[:2] for row in on_duckdb.values()} == {("duckdb", False)}
        apart = {
            table: (ours, theirs)
            for table, ours in on_spark.items()
            if (ours[2], ours[3], ours[5])
            != ((theirs := on_duckdb[table])[2], theirs[3], theirs[5])
            or (ours[4] is None) != (theirs[4] is None)
            or (ours[4] is not None and abs(ours[4] - theirs[4]) > TOLERANCE)
        }
        assert apart == {}
        tables, of_duckdb = (
            {
                f"{schema}.{table}"
                for schema, table in connection.execute(
                    "select schema_name, table_name from duckdb_tables() where database_name = ?",
                    [f"of_{engine}"],
                ).fetchall()
                if schema not in OF_THE_RUN
            }
            for engine in ("spark", "duckdb")
        )
        assert len(tables) > 100 and tables == of_duckdb
        found = [
            compared(connection, table, f"of_duckdb.{table}", f"of_spark.{table}")
            for table in sorted(tables)
        ]
        assert [one for one in found if not one.is_same] == []


def count(release: Path, rows: str) -> int:
    with duckdb.connect(str(release), read_only=True) as connection:
        return int(connection.execute(f"select count(*) from {rows}").fetchall()[0][0])


def test_both_engines_publish_the_same_release(small: tuple[Homes, dict[str, str]]) -> None:
    homes, _ = small
    assert_same_release(homes)
    assert count(served(homes["spark"]), "scores.customer") == SMALL["customers"]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """A bank that plans contacts, refreshed as of a month and then as of the next, which replaces
    that month alone."""
    place = tmp_path_factory.mktemp("planned")
    settings = delivered(place, PLANNED)
    both(place, **settings, AS_OF="2025-11")
    return both(place, "--months", "2025-12", **settings, AS_OF="2025-12")


def test_a_further_month_is_the_same_on_both_engines_as_are_plan_and_control_groups(
    planned: Homes,
) -> None:
    """Months before it lie where the first refresh of Spark wrote them."""
    assert_same_release(planned)
    assert count(served(planned["spark"]), "decisions.contact_plan where arm = 'treatment'")
    assert count(served(planned["spark"]), "decisions.contact_plan where arm = 'control'")
    kept, replaced = (
        {file.stat().st_mtime for file in folder.glob("*.parquet")}
        for month in ("2025-11", "2025-12")
        for folder in (planned["spark"] / "build/spark/tables").glob(
            f"value.db/account_month/month={month}-01"
        )
    )
    assert max(kept) < min(replaced)


def test_berka_is_the_same_on_both_engines(tmp_path: Path) -> None:
    homes = both(tmp_path, SOURCE="berka", SOURCE_PATH=str(real_data("berka")), MEMORY="3GB")
    assert_same_release(homes)
    assert count(served(homes["spark"]), "scores.customer") > 1000


def test_a_killed_job_of_spark_leaves_the_release_served(
    small: tuple[Homes, dict[str, str]],
) -> None:
    homes, settings = small
    home = homes["spark"]
    before = served(home)
    content = before.read_bytes()
    began = time.time()
    process = begun(home, "spark", **settings)
    # Amid its work: this refresh has replaced tables, and dbt goes on to others.
    deadline = time.monotonic() + 1200
    while not (written := newest(home) > began) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    job = job_of(home)
    assert written and job
    os.kill(job, signal.SIGKILL)
    output, _ = process.communicate(timeout=900)
    assert process.returncode != 0, output
    assert f"still served: {before.stem}" in output
    assert "nothing was published" in output
    assert served(home) == before and before.read_bytes() == content
    assert refreshed(home, "spark", **settings) != before


def test_a_refresh_launched_in_the_ui_publishes_the_release_of_duckdb(
    small: tuple[Homes, dict[str, str]],
) -> None:
    homes, settings = small
    home = homes["spark"].with_name("ui")
    named = {f"JINGXI_{name}": value for name, value in {**settings, "ENGINE": "spark"}.items()}
    month = served(homes["duckdb"]).name[: len("2025-12")]
    with serving(home, **JAVA, **named) as ui:
        run = ui.launch(REFRESH, refresh_tags(month))
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        assert ui.wait_for_run(run, ended, seconds=3600) == "SUCCESS"
    assert_same_release({"spark": home, "duckdb": homes["duckdb"]})
