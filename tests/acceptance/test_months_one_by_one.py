"""Months that are delivered one by one publish what one delivery of all of them does."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import duckdb
import pytest

from sources.export import export_delivery
from sources.synthetic import SyntheticBank
from tests.acceptance.contents import digest_of_tables
from tests.acceptance.test_late_records import OF_RECORDS

pytestmark = [pytest.mark.slow, pytest.mark.long]

# Too short a history for any model to learn from.
BANK = {"customers": 400, "seed": 7, "months": 12}
FIRST, LAST = 3, 12
# The month of which a fiftieth of the bookings come two months late (G1 stops one that lacks a
# fifth), that is corrected, that is withdrawn in part.
LATE, CORRECTED, WITHDRAWN = "2023-05", "2023-06", "2023-07"


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The delivery of all months, without the ledger, which knows nothing of the changes."""
    place = tmp_path_factory.mktemp("months")
    with duckdb.connect() as connection:
        made = SyntheticBank(place / "made", place / "truth", **BANK)
        made.prepare(connection)
        export_delivery(connection, made.delivery, place / "all", "csv")
    (place / "all" / "ledger.csv").unlink()
    # One extract of the customers: the bank's own are of every third month, and the accounts that
    # customers open between two of them would be without holders.
    extracts = place / "all" / "customer"
    shutil.copy(max(extracts.glob("*.csv")), place / "all" / "customer.csv")
    shutil.rmtree(extracts)
    return place / "all"


def as_of(everything: Path, delivery: Path, month: str) -> None:
    """Deliver what is known by the end of a month: bookings by month, everything else as it is."""
    shutil.rmtree(delivery, ignore_errors=True)
    shutil.copytree(everything, delivery)
    for path in (delivery / "transaction").glob("*.csv"):
        if path.stem > month:
            path.unlink()


def change(path: Path, rows: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> None:
    with path.open(newline="") as lines:
        given = list(csv.DictReader(lines))
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(given[0]))
        writer.writeheader()
        writer.writerows(rows(given))


@pytest.mark.parametrize("changed", [False, True])
def test_ten_months_one_by_one_are_one_delivery_of_all_ten(
    everything: Path,
    changed: bool,
    tmp_path: Path,
    command: Callable[..., CompletedProcess[str]],
) -> None:
    final = tmp_path / "final"
    shutil.copytree(everything, final)
    if changed:
        corrected = final / "transaction" / f"{CORRECTED}.csv"
        change(
            corrected, lambda rows: [{**rows[0], "amount": "77.77", "kind": "deposit"}, *rows[1:]]
        )
        change(final / "transaction" / f"{WITHDRAWN}.csv", lambda rows: rows[3:])
    delivery, home, fresh = tmp_path / "delivery", tmp_path / "home", tmp_path / "fresh"
    for number in range(FIRST, LAST + 1):
        month = f"2023-{number:02}"
        # What was not yet corrected or withdrawn is as first delivered.
        as_of(everything if changed and number < LAST - 2 else final, delivery, month)
        settings = {
            **{"source": "files", "source_path": delivery, "as_of": month},
            "train": "never" if number < LAST else "auto",
        }
        late = delivery / "transaction" / f"{LATE}.csv"
        if changed and month == LATE:
            # Without any of the month's bookings there is nothing to publish.
            whole = late.rename(tmp_path / late.name)
            served = (home / "published" / "current.duckdb").resolve()
            result = command(home, "refresh", "--months", month, **settings)
            assert result.returncode == 1, result.stdout + result.stderr
            assert "G1/landing_booking_month.bookings" in result.stdout
            assert (home / "published" / "current.duckdb").resolve() == served
            shutil.move(whole, late)
        if changed and LATE <= month < "2023-07":
            change(late, lambda rows: [row for at, row in enumerate(rows) if at % 50])
        result = command(home, "refresh", "--months", month, **settings)
        assert result.returncode == 0, result.stdout + result.stderr
    shutil.rmtree(delivery)
    shutil.copytree(final, delivery)
    result = command(fresh, "refresh", source="files", source_path=delivery, as_of=f"2023-{LAST}")
    assert result.returncode == 0, result.stdout + result.stderr
    built, wanted = (
        digest_of_tables(place / "build" / "warehouse.duckdb", OF_RECORDS)
        for place in (home, fresh)
    )
    assert len(wanted) > 30
    assert built == wanted
