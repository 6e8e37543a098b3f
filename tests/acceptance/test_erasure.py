"""A person of the known bank is erased; the figures worked by hand stay, without the person."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess

import duckdb
import pytest

from orchestration.platform.erased import MARK
from tests.acceptance.conftest import KNOWN
from tests.acceptance.test_known_bank import KEYS, answers

pytestmark = pytest.mark.slow

CUSTOMER, ACCOUNT = "K06", "A06"
# Attributes that only this person has.
CANARIES = {"occupation": "falconer-canary", "household_id": "HOUSEHOLD-CANARY"}
COMPARED = (
    "base.account_month",
    "value.account_month",
    "value.profit_by_customer",
    "base.customer",
)
# Pools are divided to the cent by the order of ids: single cents may move with the next refresh.
BY_ORDER = ("overhead", "economic_profit", "raroc")


@pytest.fixture(scope="module")
def erased(
    known_bank: Path,
    command: Callable[..., CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path, Path]:
    """The home after an erasure and a refresh of a delivery that brings the person back; the
    release before; the same release after the erasure."""
    place = tmp_path_factory.mktemp("erasure")
    home, delivery = place / "home", place / "delivery"
    shutil.copytree(known_bank, home, symlinks=True)
    shutil.copytree(KNOWN / "delivery", delivery)
    released = (home / "published" / "current.duckdb").resolve()
    before = shutil.copy(released, place / "before.duckdb")
    page = command(home, "customer", "--id", CUSTOMER)
    assert page.returncode == 0, page.stderr
    done = command(
        home, "erase", "--customer", CUSTOMER, "--reason", "request of 3 May", "--open-accounts"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none has an id of the person" in done.stdout
    after = shutil.copy(released, place / "after.duckdb")
    with (delivery / "customer.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        own = row["customer_id"] == CUSTOMER
        row.update({name: word if own else "" for name, word in CANARIES.items()})
    with (delivery / "customer.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    again = command(
        *(home, "refresh"),
        source="files",
        source_path=delivery,
        reference_path=KNOWN / "reference",
        first_month="2024-01",
        as_of="2025-12",
    )
    assert again.returncode == 0, again.stdout + again.stderr
    return home, Path(before), Path(after)


@pytest.fixture(scope="module")
def new_account(erased: tuple[Path, Path, Path]) -> str:
    home, _, _ = erased
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as connection:
        ((found,),) = connection.execute(
            "select account_id from base.account where contains(account_id, ?)", [MARK]
        ).fetchall()
    return found


def test_every_figure_worked_by_hand_stays_also_the_persons_without_the_person(erased, new_account):
    home, _, _ = erased
    wrong = []
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as connection:
        for row in answers():
            key = new_account if row["key"] == ACCOUNT else row["key"]
            month = [f"{row['month']}-01"] if row["month"] else []
            found = connection.execute(
                f"select distinct {row['measure']} from {row['table']} "
                f"where {KEYS[row['table']]} = ? {'and month = ?' if month else ''}",
                [key, *month],
            ).fetchall()
            if found != [(Decimal(row["amount"]),)]:
                wrong.append((row["key"], row["month"], row["measure"], found))
        off = connection.execute(
            "select count(*) from value.reconciliation where abs(difference) > tolerance"
        ).fetchall()
    assert (wrong, off) == ([], [(0,)])


@pytest.mark.parametrize("table", COMPARED)
def test_the_rows_of_all_others_are_unchanged_in_the_release_and_after_the_refresh(erased, table):
    home, before, after = erased
    key = "account_id" if "account" in table else "customer_id"
    id_before = ACCOUNT if key == "account_id" else CUSTOMER
    with duckdb.connect() as connection:
        now = (home / "published" / "current.duckdb").resolve()
        for name, path in (("before", before), ("after", after), ("now", now)):
            connection.execute(f"attach '{path}' as {name} (read_only)")
        others = f"from before.{table} where {key} <> '{id_before}'"
        ((count,),) = connection.execute(f"select count(*) {others}").fetchall()
        assert count > 10
        columns = [one for one in connection.table(f"now.{table}").columns if one in BY_ORDER]
        for name, moving in (("after", []), ("now", columns)):
            chosen = f"select * exclude ({', '.join(moving)})" if moving else "select *"
            kept = f"{chosen} from {name}.{table} where not contains({key}, '{MARK}')"
            assert connection.execute(f"{chosen} {others} except all {kept}").fetchall() == []
            assert connection.execute(f"{kept} except all {chosen} {others}").fetchall() == []
        if columns:
            ((most,),) = connection.execute(
                f"select max(abs(old.overhead - new.overhead)) from before.{table} as old "
                f"inner join now.{table} as new using ({key}, month)"
            ).fetchall()
            assert most <= Decimal("0.02")


def test_no_file_of_the_home_has_a_word_of_the_person(erased):
    home, _, _ = erased
    words = [*(word.encode() for word in CANARIES.values())]
    found = []
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    content += b"".join(archive.read(name) for name in archive.namelist())
            found += [(path, word) for word in words if word in content]
    assert found == []


def test_the_person_is_in_no_feature_and_no_score(erased):
    home, _, _ = erased
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as connection:
        counts = [
            connection.execute(
                f"select count(*), count(*) filter (contains(customer_id, ?)) from {table}", [MARK]
            ).fetchall()[0]
            for table in ("base.customer", "features.customer_month", "contacts.contactability")
        ]
    customers = counts[0][0]
    assert counts == [(customers, 1), (customers - 1, 0), (customers - 1, 0)]


def test_the_trail_is_whole_and_the_erased_customer_is_refused(erased, command):
    home, _, _ = erased
    assert command(home, "audit").returncode == 0
    page = command(home, "customer", "--id", CUSTOMER)
    assert page.returncode == 2
    assert not list((home / "customers").rglob(f"{CUSTOMER}.html"))
