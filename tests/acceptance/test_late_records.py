"""Records that come late, or are corrected or withdrawn, and the refresh of the newest month after.

Scores and what follows from them are not compared: a home that has published before has trained
and promoted its models at another time, on other figures, than one that sees the end state first.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from sources.export import export_delivery
from sources.synthetic import SyntheticBank
from tests.acceptance.contents import digest_of_tables

pytestmark = [pytest.mark.slow, pytest.mark.long]

# Too short a history for any model to learn from.
BANK = {"customers": 120, "seed": 7, "months": 12}
OF_RECORDS = ("base", "value", "features", "outcomes")


def served(home: Path) -> Path:
    return home / "published" / "current.duckdb"


def rewrite(path: Path, change: Callable[[list[dict[str, str]]], None]) -> dict[str, str]:
    """Change the rows of a month's bookings; returns the first of them as it was."""
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    first = dict(rows[0])
    names = list(first)
    change(rows)
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, names)
        writer.writeheader()
        writer.writerows(rows)
    return first


def test_late_corrected_and_withdrawn_bookings_publish_the_same_as_the_final_delivery(
    tmp_path, command
):
    delivery, home, fresh = tmp_path / "delivery", tmp_path / "home", tmp_path / "fresh"
    with duckdb.connect() as connection:
        made = SyntheticBank(tmp_path / "made", tmp_path / "truth", **BANK)
        made.prepare(connection)
        export_delivery(connection, made.delivery, delivery, "csv")
    # The bank's ledger lacks the changed bookings: G2 would report the difference.
    (delivery / "ledger.csv").unlink()
    source = {"source": "files", "source_path": delivery}
    result = command(home, "refresh", **source)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Restated" not in result.stdout

    late = rewrite(delivery / "transaction" / "2023-07.csv", lambda rows: rows.pop(0)) | {
        "transaction_id": "late",
        "booked_on": "2023-03-15",
        "amount": "-12.34",
        "kind": "fee",
        "balance_after": "",
    }
    rewrite(delivery / "transaction" / "2023-11.csv", lambda rows: rows.append(late))
    rewrite(
        delivery / "transaction" / "2023-09.csv",
        lambda rows: rows[5].update(amount="77.77", kind="deposit"),
    )
    result = command(home, "refresh", "--months", "2023-12", **source)
    assert result.returncode == 0, result.stdout + result.stderr
    expected = "2023-03 changed (transaction: +1 row), and 2 later months: rebuilding 2023-03 to"
    assert f"{expected} 2023-12" in result.stdout
    assert "Restated: 10 closed month(s), 2023-03 to 2023-12" in result.stdout

    result = command(fresh, "refresh", **source)
    assert result.returncode == 0, result.stdout + result.stderr
    built, wanted = (
        digest_of_tables(place / "build" / "warehouse.duckdb", OF_RECORDS)
        for place in (home, fresh)
    )
    assert len(wanted) > 30
    assert built == wanted
    with duckdb.connect(str(home / "build" / "warehouse.duckdb"), read_only=True) as connection:
        ((lying, counted),) = connection.execute(
            "select (select count(*) from landing.transaction), "
            "(select sum(landed) from meta.input_file where table_name = 'transaction')"
        ).fetchall()
    assert lying == counted
    with duckdb.connect(str(served(home)), read_only=True) as connection:
        (march,) = connection.execute(
            "select rows_changed, money_after - money_before from meta.restatement "
            "where table_name = 'base.account_activity' and month = date '2023-03-01'"
        ).fetchall()
        first, last = connection.execute(
            "select min(month)::varchar, max(month)::varchar from meta.restatement"
        ).fetchall()[0]
    assert (march[0], str(march[1])) == (1, "-12.34")
    assert (first, last) == ("2023-03-01", "2023-12-01")
