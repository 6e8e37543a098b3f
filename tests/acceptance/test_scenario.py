"""`jingxi scenario` on the bank whose figures are known: what moves, what does not, refusals."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import shutil
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from orchestration.valuation.explanation import rounded
from tests.acceptance.conftest import KNOWN

pytestmark = [pytest.mark.slow, pytest.mark.long]

POINT = Decimal("0.01")
UP = "+100bp"


def digests(home: Path) -> dict[str, str]:
    """What a reader or the next refresh opens, byte by byte."""
    files = [
        *sorted((home / "published").rglob("*.duckdb")),
        *(home / "build" / "warehouse.duckdb", *sorted((home / "reference").glob("*"))),
    ]
    return {
        str(path): f"{path.resolve()} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in files
    }


@pytest.fixture(scope="module")
def raised(tmp_path_factory) -> Path:
    """The known bank's reference data with a curve a percentage point higher."""
    folder = tmp_path_factory.mktemp("raised") / "reference"
    shutil.copytree(KNOWN / "reference", folder)
    with (folder / "transfer_curve.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    with (folder / "transfer_curve.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, points[0])
        writer.writeheader()
        for row in points:
            writer.writerow({**row, "annual_rate": Decimal(row["annual_rate"]) + POINT})
    return folder


@pytest.fixture(scope="module")
def valued(known_bank, raised, command):
    """Both scenarios as data, and the home's digests before and after."""
    before = digests(known_bank)
    found = {}
    for name, reference in (("same", KNOWN / "reference"), (UP, raised)):
        result = command(known_bank, "scenario", "--name", name, "--json", reference_path=reference)
        assert result.returncode == 0, result.stderr
        found[name] = json.loads(result.stdout)
    return found, before, digests(known_bank)


def test_the_release_and_the_warehouse_do_not_change(valued, known_bank):
    _, before, after = valued
    assert len(before) > 2 and before == after
    assert list((known_bank / "tmp").glob("scenario-*")) == []


def test_a_scenario_without_changes_has_no_differences(valued):
    found = valued[0]["same"]
    assert found["changed"] == [] and found["same_code"] is True
    assert found["customers_of_another_tier"] == 0
    assert {row["dimension"] for row in found["differences"]} == {
        *("all", "line", "product", "branch", "tier"),
    }
    for row in found["differences"]:
        assert row["contribution_margin_difference"] == "0.00", row
        assert row["economic_profit_difference"] == "0.00", row
        assert row["raroc_difference"] in (None, "0.000000"), row


def test_a_higher_curve_moves_each_line_by_its_balances(valued, known_bank):
    """A curve a point higher makes every price a point higher, terms and portfolios alike: each
    account-month's transfer result is worked again at its price + 0.01."""
    expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with duckdb.connect(
        str(known_bank / "published" / "current.duckdb"), read_only=True
    ) as connection:
        atoms = connection.execute(
            "select valued.product_line, valued.month = as_of.month, "
            "coalesce(held.balance_day_sum, 0), valued.transfer_price, valued.overdrawn_price, "
            "coalesce(held.overdrawn_day_sum, 0), valued.transfer_result "
            "from value.account_month as valued "
            "inner join base.account_month as held using (account_id, month) "
            "inner join value.product_parameter as parameter "
            "on valued.product_id = parameter.product_id and valued.month = parameter.month "
            "cross join (select max(month) as month from value.account_month) as as_of "
            "where parameter.is_funded and valued.month > as_of.month - interval 12 month"
        ).fetchall()
    for line, is_last, day_sum, price, below_price, below, result in atoms:
        below = below if below_price is not None else Decimal(0)
        again = Fraction(day_sum - below) * Fraction(price + POINT)
        again += Fraction(below) * Fraction((below_price or 0) + POINT)
        moved = rounded(again / 365, 2) - result
        expected["twelve months", line] += moved
        if is_last:
            expected["month", line] += moved
    lines = {
        (row["period"], row["dimension_key"]): Decimal(row["contribution_margin_difference"])
        for row in valued[0][UP]["differences"]
        if row["dimension"] == "line"
    }
    assert {key: moved for key, moved in lines.items() if moved} == {
        key: moved for key, moved in expected.items() if moved
    }
    assert lines["twelve months", "deposits"] > 0 > lines["twelve months", "lending"]
    assert valued[0][UP]["changed"] == ["transfer_curve"]
    # Nothing but the transfer result moves.
    assert all(
        row["contribution_margin_difference"] == row["economic_profit_difference"]
        for row in valued[0][UP]["differences"]
        if row["dimension"] != "tier"
    )


def test_a_scenario_is_kept_beside_the_releases(valued, known_bank):
    folder = known_bank / "scenarios" / UP
    assert sorted(path.name for path in folder.iterdir()) == [
        *("difference.csv", "scenario.duckdb", "scenario.json"),
    ]
    with (folder / "difference.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(valued[0][UP]["differences"])
    with duckdb.connect(str(folder / "scenario.duckdb"), read_only=True) as connection:
        assert connection.execute(
            "select count(*) filter (difference <> 0 and tolerance = 0), count(*) > 100 "
            "from value.reconciliation"
        ).fetchall() == [(0, True)]


def test_reference_data_that_fail_their_check_are_refused(
    valued, known_bank, raised, command, tmp_path
):
    folder = tmp_path / "reference"
    shutil.copytree(raised, folder)
    (folder / "hurdle_rate.csv").write_text("effective_from,annual_rate\n2025-01-01,0.1\n")
    kept = (known_bank / "scenarios" / UP / "scenario.json").read_bytes()
    result = command(known_bank, "scenario", "--name", UP, reference_path=folder)
    assert result.returncode == 2
    assert result.stderr.startswith("refused: REFERENCE_PATH (JINGXI_REFERENCE_PATH) is invalid: ")
    assert "hurdle_rate has no row from the beginning" in result.stderr
    assert (known_bank / "scenarios" / UP / "scenario.json").read_bytes() == kept
    # A second run replaces the first whole: its own files alone remain.
    (known_bank / "scenarios" / UP / "stray").touch()
    again = command(known_bank, "scenario", "--name", UP, reference_path=raised)
    assert again.returncode == 0, again.stderr
    assert "twelve months" in again.stdout and "Contribution margin" in again.stdout
    assert not (known_bank / "scenarios" / UP / "stray").exists()


def test_a_scenario_of_a_name_that_is_running_is_refused(valued, known_bank, raised, command):
    with (known_bank / "scenarios" / f".{UP}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = command(known_bank, "scenario", "--name", UP, reference_path=raised)
    assert result.returncode == 2 and "another process is valuing this one" in result.stderr
