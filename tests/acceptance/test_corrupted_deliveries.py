"""Corrupted deliveries: quarantined with a reason, refused beforehand, or stopped at a gate.

Every case is a real delivery of files, judged as `make check` and a refresh judge it. One of each
kind goes through a refresh in a process of its own: the release served before stays byte for byte,
unless the faults are few enough to be set aside.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.operations.delivery_check import judgement
from tests.acceptance.deliveries import (
    MONTH,
    Row,
    booking_month,
    bookings,
    edit,
    read,
    replace_bytes,
    write,
)

pytestmark = pytest.mark.slow

REFUSED, STOPPED = 2, 1
LAST_MONTH = "2024-02"


def times(row: Row, factor: int, *columns: str) -> Row:
    return {**row, **{name: f"{float(row[name]) * factor:.2f}" for name in columns if row[name]}}


def swapped(row: Row, one: str, other: str) -> Row:
    return {**row, one: row[other], other: row[one]}


# Refused before anything is built.


def no_product_file(folder):
    (folder / "product.csv").unlink()


def no_amount_column(folder):
    for path in bookings(folder):
        rows = read(path)
        for row in rows:
            del row["amount"]
        write(path, rows)


def file_of_no_bytes(folder):
    replace_bytes(folder / "account.csv", b"")


def header_only(folder):
    path = folder / "account_holder.csv"
    replace_bytes(path, path.read_bytes().splitlines(keepends=True)[0])


def semicolons(folder):
    path = folder / "account.csv"
    write(path, read(path), delimiter=";")


def utf_16(folder):
    path = folder / "product.csv"
    replace_bytes(path, path.read_text().encode("utf-16"))


def latin_1(folder):
    path = folder / "branch.csv"
    rows = read(path)
    rows[0]["branch_name"] = "Zürich"
    write(path, rows)
    replace_bytes(path, path.read_text(encoding="utf-8").encode("latin-1"))


def month_delivered_twice(folder):
    shutil.copy(booking_month(folder), booking_month(folder).with_name(f"{MONTH}-again.csv"))


def letters_in_all_amounts(folder):
    edit(booking_month(folder), lambda _, row: {**row, "amount": "EUR " + row["amount"]})


def dates_of_another_form(folder):
    def european(_, row):
        year, month, day = row["opened_on"].split("-")
        return {**row, "opened_on": f"{day}.{month}.{year}"}

    edit(folder / "account.csv", european)


def half_a_parquet_file(folder):
    path = booking_month(folder)
    whole = path.with_suffix(".parquet")
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (from read_csv('{path}', all_varchar = true)) to '{whole}' (format parquet)"
        )
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    path.unlink()


def heading_named_twice(folder):
    path = folder / "account.csv"
    content = path.read_text().replace("branch_id", "product_id", 1)
    replace_bytes(path, content.encode())


def unknown_product_line(folder):
    edit(folder / "product.csv", lambda _, row: {**row, "product_line": "misc"})


# Stopped at a gate.


def half_the_customers(folder):
    def of_every_second(path: Path) -> None:
        edit(path, lambda _, row: row if int(row["customer_id"][1:]) % 2 else None)

    for path in (folder / "customer").glob("*.csv"):
        of_every_second(path)


def half_the_accounts(folder):
    edit(folder / "account.csv", lambda number, row: row if number % 2 else None)


def many_accounts_twice(folder):
    path = folder / "account.csv"
    rows = read(path)
    write(path, rows + [{**row, "opened_on": "2022-01-01"} for row in rows[: len(rows) // 10]])


def month_missing(folder):
    booking_month(folder).unlink()


def month_cut_short(folder):
    path = booking_month(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    replace_bytes(path, b"".join(lines[: len(lines) // 4]))


def last_month_cut_short(folder):
    path = bookings(folder)[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    replace_bytes(path, b"".join(lines[: len(lines) // 4]))


def one_month_times_100(folder):
    edit(booking_month(folder), lambda _, row: times(row, 100, "amount"))


def all_months_times_100(folder):
    for path in bookings(folder):
        edit(path, lambda _, row: times(row, 100, "amount"))


def amount_and_balance_swapped(folder):
    for path in bookings(folder):
        edit(path, lambda _, row: swapped(row, "amount", "balance_after"))


def signs_turned(folder):
    edit(booking_month(folder), lambda _, row: times(row, -1, "amount"))


def holder_columns_swapped(folder):
    edit(folder / "account_holder.csv", lambda _, row: swapped(row, "account_id", "customer_id"))


def owners_credited_whole(folder):
    edit(folder / "account_owner.csv", lambda _, row: {**row, "share": "1"})


def keys_left_out(folder):
    edit(booking_month(folder), lambda _, row: {**row, "transaction_id": ""})


def bookings_of_unknown_accounts(folder):
    edit(booking_month(folder), lambda _, row: {**row, "account_id": "X" + row["account_id"]})


def bookings_in_the_far_future(folder):
    edit(booking_month(folder), lambda _, row: {**row, "booked_on": "2099" + row["booked_on"][4:]})


def everyone_unborn(folder):
    for path in (folder / "customer").glob("*.csv"):
        edit(path, lambda _, row: {**row, "birth_date": "2099-01-01"})


def ledger_off_by_a_cent(folder):
    path = folder / "ledger.csv"
    of_month = [number for number, row in enumerate(read(path)) if row["month"].startswith(MONTH)]

    def off(number, row):
        more = f"{Decimal(row['amount']) + Decimal('0.01')}"
        return {**row, "amount": more} if number == of_month[0] else row

    edit(path, off)


@dataclass(frozen=True)
class Case:
    """A corruption, how the refresh ends, and words its message must hold."""

    corrupt: Callable[[Path], None]
    status: int
    words: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)


CASES = [
    Case(no_product_file, REFUSED, ("product", "missing")),
    Case(no_amount_column, REFUSED, ("transaction", "amount")),
    Case(file_of_no_bytes, REFUSED, ("account.csv", "empty")),
    Case(header_only, REFUSED, ("account_holder.csv",)),
    Case(semicolons, REFUSED, ("account.csv", ";")),
    Case(utf_16, REFUSED, ("product.csv", "UTF-8")),
    Case(latin_1, REFUSED, ("branch.csv", "UTF-8")),
    Case(month_delivered_twice, REFUSED, (f"{MONTH}-again.csv", f"{MONTH}.csv")),
    Case(letters_in_all_amounts, REFUSED, (f"{MONTH}.csv", "amount")),
    Case(dates_of_another_form, REFUSED, ("account.csv", "opened_on")),
    Case(half_a_parquet_file, REFUSED, (f"{MONTH}.parquet",)),
    Case(heading_named_twice, REFUSED, ("account.csv", "product_id")),
    Case(unknown_product_line, REFUSED, ("product.csv", "product_line", "`misc`", "`deposits`")),
    Case(half_the_customers, STOPPED, ("G1", "200 row(s), 400 in the release before")),
    Case(half_the_accounts, STOPPED, ("G1", "reference")),
    Case(many_accounts_twice, STOPPED, ("G1", "account")),
    Case(month_missing, STOPPED, ("G1", MONTH)),
    Case(month_cut_short, STOPPED, ("G1", MONTH)),
    Case(last_month_cut_short, STOPPED, ("G1", LAST_MONTH), {"as_of": LAST_MONTH}),
    Case(one_month_times_100, STOPPED, ("G1", MONTH)),
    Case(all_months_times_100, STOPPED, ("G1", "balance")),
    Case(amount_and_balance_swapped, STOPPED, ("G1",)),
    Case(signs_turned, STOPPED, ("G1", "balance")),
    Case(holder_columns_swapped, STOPPED, ("G1", "account_holder")),
    Case(owners_credited_whole, STOPPED, ("G1", "account_owner")),
    Case(keys_left_out, STOPPED, ("G1", "transaction")),
    Case(bookings_of_unknown_accounts, STOPPED, ("G1", "transaction", "reference")),
    Case(bookings_in_the_far_future, STOPPED, ("G1", "transaction")),
    Case(everyone_unborn, STOPPED, ("G1", "customer")),
    Case(ledger_off_by_a_cent, STOPPED, ("G2", "ledger", MONTH)),
]
# One that is refused, one that G1 stops, and what only a later gate sees.
THROUGH = (letters_in_all_amounts, half_the_customers, ledger_off_by_a_cent)
REFRESHED = [case for case in CASES if case.corrupt in THROUGH]


@dataclass(frozen=True)
class Bank:
    """A bank's delivery as CSV, and a home that serves a release made from it with a few bad rows,
    with the number of rows of the month in which they lie and the output of that refresh."""

    original: Path
    delivery: Path
    home: Path
    rows: int
    output: str


@pytest.fixture(scope="module")
def bank(faulty_bank):
    original = faulty_bank / "original"
    output = (faulty_bank / "summary.txt").read_text()
    rows = len(read(booking_month(original)))
    return Bank(original, faulty_bank / "delivered", faulty_bank / "copy", rows, output)


@pytest.fixture
def delivery(bank):
    """The delivery as it came, again; files are links, so a corruption replaces, never edits."""
    shutil.rmtree(bank.delivery)
    shutil.copytree(bank.original, bank.delivery, copy_function=os.link)
    return bank.delivery


def digest(home):
    return hashlib.sha256((home / "published" / "current.duckdb").read_bytes()).hexdigest()


def named(case: Case) -> str:
    return case.corrupt.__name__


def test_a_few_bad_rows_are_set_aside_with_their_reasons(bank):
    assert "kind: `barter` (1 row)" in bank.output
    with duckdb.connect(str(bank.home / "published" / "current.duckdb"), read_only=True) as release:
        found = set(
            release.execute(
                "select row_number, rule from quarantine.transaction where file like ?",
                [f"%{MONTH}.csv"],
            ).fetchall()
        )
        months = release.execute("select min(month)::varchar from value.account_month").fetchall()
    # A table with personal columns has its quarantine in the home alone.
    with duckdb.connect(str(bank.home / "build" / "warehouse.duckdb"), read_only=True) as warehouse:
        customers = warehouse.execute(
            "select rule, column_name from quarantine.customer"
        ).fetchall()
    last = bank.rows
    assert {
        (11, "type"),
        (12, "reference"),
        (13, "required"),
        (14, "allowed_values"),
        (15, "type"),
        (16, "date_in_future"),
        (last + 1, "duplicate_row"),
        (last + 2, "duplicate_key"),
        (30, "malformed_row"),
    } <= found
    assert ("range", "birth_date") in customers
    assert months == [("2023-01-01",)]


@pytest.mark.parametrize("case", [case for case in CASES if case not in REFRESHED], ids=named)
def test_a_corrupted_delivery_is_refused_or_fails_its_gate(bank, delivery, case):
    home = bank.home
    case.corrupt(delivery)
    found = judgement(
        {"source": "files", "source_path": str(delivery), "home": str(home), **case.settings}
    )
    output = "\n".join([*found.lines(), *found.problems])
    assert found.status == {REFUSED: "refused", STOPPED: "gate_failed"}[case.status], output
    for word in case.words:
        assert word in output


@pytest.mark.parametrize("case", REFRESHED, ids=named)
def test_a_corrupted_delivery_stops_and_the_release_served_before_stays(
    bank, delivery, command, case
):
    home = bank.home
    before = digest(home)
    link = os.readlink(home / "published" / "current.duckdb")
    case.corrupt(delivery)
    result = command(home, "refresh", source="files", source_path=delivery, **case.settings)
    output = result.stdout + result.stderr
    assert result.returncode == case.status, output
    assert "Traceback" not in output
    for word in case.words:
        assert word in output
    if case.corrupt is ledger_off_by_a_cent:
        # Red sits on the table that disagrees; nothing behind the gate ran.
        assert "base.ledger_reconciliation: every ledger line" in output
        for stage in ("value", "features", "models", "release"):
            assert f"\n  {stage} " not in output
    assert os.readlink(home / "published" / "current.duckdb") == link
    assert digest(home) == before


def test_several_problems_are_listed_at_once(bank, delivery, command):
    home = bank.home
    for corrupt in (no_product_file, file_of_no_bytes, letters_in_all_amounts):
        corrupt(delivery)
    result = command(home, "refresh", source="files", source_path=delivery)
    assert result.returncode == REFUSED
    for words in ("product", "account.csv", f"{MONTH}.csv", "3 problem"):
        assert words in result.stderr
