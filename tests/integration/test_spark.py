"""The same dbt project on Spark gives the same tables (`make test-spark`)."""

from __future__ import annotations

import os
import re
import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tests.integration import spark
from tests.integration.bank import EARLIER, LAST, Bank, land, month_of
from tests.integration.bank import dbt as duckdb_dbt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("TEST_SPARK"),
        reason="Spark has an environment of its own: make test-spark",
    ),
]

TABLES_ALONE = ("--exclude-resource-type", "unit_test", "--exclude-resource-type", "test")
# Not views, which stay where their sources are, nor credit alerts, which follow from the scores.
BUILT = re.compile(
    r"OK (?:created sql (?:table|incremental) model|loaded seed file) (\S+\.\S+?) \."
)


def built(warehouse: Path, home: Path, *arguments: str, reference: Path | None = None) -> str:
    process = spark.build(
        warehouse, home, *arguments, "--select", *spark.SCOPE, reference=reference
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def assert_same(warehouse: Path, home: Path, output: str) -> None:
    compared = spark.compare(warehouse, home)
    assert {one.table for one in compared} == set(BUILT.findall(output))
    assert [one for one in compared if not one.is_same] == []


@pytest.fixture(scope="module")
def on_spark(
    whole: Path, reference: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A home with the awkward bank on Spark, whose dbt tests passed, and what dbt printed."""
    home = tmp_path_factory.mktemp("spark")
    without = ("--exclude-resource-type", "unit_test")
    return home, built(whole, home, "build", *without, reference=reference)


def test_the_awkward_banks_tables_are_the_same_on_both_engines(
    whole: Path, on_spark: tuple[Path, str]
) -> None:
    assert_same(whole, *on_spark)


def test_the_rules_worked_by_hand_hold_on_spark(whole: Path, on_spark: tuple[Path, str]) -> None:
    home, _ = on_spark
    output = built(whole, home, "test", "--resource-type", "unit_test")
    assert {"value_account_month", "value_overhead", "base_account_month"} <= set(
        re.findall(r" PASS (\w+)::", output)
    )


def test_adding_months_on_spark_gives_the_same_as_a_full_build(
    bank: Bank, reference: Path, whole: Path, earlier: Path, tmp_path: Path
) -> None:
    """Months of the window are overwritten, and those outside the history are dropped."""
    built(earlier, tmp_path, "build", *TABLES_ALONE, reference=reference)
    later = tmp_path / "later.duckdb"
    shutil.copy(earlier, later)
    land(later, bank, LAST, window=(month_of(EARLIER + timedelta(days=1)), month_of(LAST)))
    output = built(later, tmp_path, "build", *TABLES_ALONE, reference=reference)
    assert_same(whole, tmp_path, output)


@pytest.mark.skipif(not os.environ.get("TEST_SMALL_BANK"), reason="no TEST_SMALL_BANK")
def test_a_refreshed_banks_tables_are_the_same_on_both_engines(tmp_path: Path) -> None:
    """Spark reads the landed months where they lie. DuckDB builds again beside it: the refresh has
    scored since it built the value."""
    home = Path(os.environ["TEST_SMALL_BANK"]) / "home"
    (tmp_path / "landing").symlink_to(home / "landing")
    warehouse = tmp_path / "warehouse.duckdb"
    shutil.copy(home / "build" / "warehouse.duckdb", warehouse)
    duckdb_dbt(warehouse, "build", "--full-refresh", "--select", *spark.SCOPE, *TABLES_ALONE)
    assert_same(warehouse, tmp_path, built(warehouse, tmp_path, "build", *TABLES_ALONE))


def test_a_difference_of_a_cent_a_type_or_a_row_is_found(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    place = tmp_path / "build" / "spark" / "tables" / "base.db" / "account"
    place.mkdir(parents=True)
    values = "('A', 1.10::decimal(18, 2), 0.1::double), ('B', 2.20, 0.2)"
    rows = f"(values {values}) as t (id, amount, share)"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema base")
        connection.execute(f"create table base.account as select * from {rows}")

    def compared(query: str) -> spark.Compared:
        duckdb.execute(f"copy ({query}) to '{place}/part.parquet'")
        (one,) = spark.compare(warehouse, tmp_path)
        return one

    assert compared(f"select * from {rows}").is_same
    near = compared(f"select * replace (share + 1e-12 as share) from {rows}")
    assert near.is_same and 0 < near.largest < 1e-11
    assert compared(f"select * replace (share + 1e-6 as share) from {rows}").differing == 2
    cent = compared(f"select * replace ((amount + 0.01)::decimal(18, 2) as amount) from {rows}")
    assert not cent.is_same
    assert compared(f"select * from {rows} limit 1").spark_rows == 1
    assert compared(f"select * exclude amount from {rows}").types == (
        "amount: DECIMAL(18,2) on DuckDB, None on Spark",
    )
