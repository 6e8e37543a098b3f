"""Deliveries that are meant to do harm: refused, or landed as the text they are."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.engine import Window, land
from sources.files import DeliveredFiles
from tests.conftest import PROJECT

WINDOW = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 31))
TODAY = date(2024, 6, 15)
HOSTILE = (
    "'; drop table landing.customer; --",
    "../../etc/passwd",
    "=cmd|'/c calc'!A0",
    '" onload="alert(1)',
    "two\nlines",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "%s%s%n",
    "\u202etxt.exe",
    "nul\u0001l",
)
TABLES = {
    "product": [("product_id", "product_line"), ("P1", "deposits")],
    "customer": [("customer_id", "occupation")],
    "account": [("account_id", "product_id", "opened_on")],
    "account_holder": [("account_id", "customer_id", "role")],
    "transaction": [
        ("transaction_id", "account_id", "booked_on", "amount", "kind", "counterparty_account")
    ],
}


def delivered(folder: Path) -> Path:
    """A delivery whose every free text is hostile."""
    rows = {table: list(lines) for table, lines in TABLES.items()}
    for number, text in enumerate(HOSTILE):
        rows["customer"].append((f"C{text}", text))
        rows["account"].append((f"A{text}", "P1", "2024-01-01"))
        rows["account_holder"].append((f"A{text}", f"C{text}", "owner"))
        rows["transaction"].append(
            (f"T{number}{text}", f"A{text}", "2024-02-01", "1.00", "deposit", text)
        )
    folder.mkdir()
    for table, lines in rows.items():
        quoted = [",".join('"' + one.replace('"', '""') + '"' for one in line) for line in lines]
        (folder / f"{table}.csv").write_text("\n".join(quoted) + "\n", encoding="utf-8")
    return folder


def landed(folder: Path, home: Path) -> duckdb.DuckDBPyConnection:
    warehouse = duckdb.connect(config={"memory_limit": "1GB"})
    source = DeliveredFiles(folder)
    assert source.problems(warehouse) == []
    land(warehouse, source, WINDOW, home / "landing", b"key", TODAY)
    return warehouse


def test_hostile_texts_land_as_they_are_and_do_nothing(tmp_path):
    warehouse = landed(delivered(tmp_path / "delivery"), tmp_path / "home")
    found = warehouse.execute("select customer_id, occupation from landing.customer").fetchall()
    assert sorted(found) == sorted((f"C{text}", text) for text in HOSTILE)
    assert warehouse.execute('select count(*) from landing."transaction"').fetchall() == [
        (len(HOSTILE),)
    ]
    # Nothing was written but the home.
    assert {path.name for path in tmp_path.iterdir()} == {"delivery", "home"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside.csv"])
def test_a_link_out_of_the_delivery_is_refused_and_its_target_not_read(tmp_path, target):
    folder = delivered(tmp_path / "delivery")
    (tmp_path / "outside.csv").write_text("secret,words\n")
    (folder / "card.csv").symlink_to(target)
    with duckdb.connect() as connection:
        (problem,) = DeliveredFiles(folder).problems(connection)
    assert str(problem).startswith("card.csv: is a link to a file outside of the delivery")
    assert "secret" not in str(problem) and "root" not in str(problem)


def test_a_link_within_the_delivery_is_read(tmp_path):
    folder = delivered(tmp_path / "delivery")
    (folder / "product.csv").rename(folder / "_newest")
    (folder / "product.csv").symlink_to("_newest")
    assert landed(folder, tmp_path / "home").execute("from landing.product").fetchall()


def test_a_folder_that_is_itself_a_link_is_read(tmp_path):
    delivered(tmp_path / "delivery")
    (tmp_path / "current").symlink_to("delivery")
    assert landed(tmp_path / "current", tmp_path / "home")


def test_a_parquet_file_of_millions_of_equal_rows_is_refused_by_its_footer(tmp_path):
    folder = delivered(tmp_path / "delivery")
    bomb = folder / "card.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select 'C' as card_id, 'A' as account_id from range(10_000_000)) "
            f"to '{bomb}' (format parquet, compression zstd, row_group_size 5_000_000)"
        )
        assert bomb.stat().st_size < 1_000_000
        (problem,) = DeliveredFiles(folder).problems(connection)
    assert "10,000,000 rows in" in str(problem)


def test_a_value_of_forty_megabytes_is_set_aside_in_bounded_memory(tmp_path):
    folder = delivered(tmp_path / "delivery")
    with (folder / "customer.csv").open("a") as file:
        file.write('"Cbig","' + "x" * 40_000_000 + '"\n')
    program = (
        "import sys; from pathlib import Path; from tests.unit.test_hostile_deliveries import *\n"
        "import resource\n"
        "warehouse = landed(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(warehouse.execute('select rule from quarantine.customer').fetchall())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(tmp_path / "home")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    rules, peak = done.stdout.splitlines()
    assert "malformed_row" in rules or "length" in rules
    assert int(peak) < 2_000_000, "kB"
