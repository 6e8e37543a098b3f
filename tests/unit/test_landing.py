"""Landing: rules with answers known beforehand, point in time, and months that stay untouched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.landing.engine import (
    LandingSummary,
    Window,
    empty_landing,
    first_booking_month,
    land,
    last_booking,
    resolve_as_of,
)
from orchestration.landing.rules import CURES
from sources.contract import DAY, FLAG, MONEY, RATE, REAL, TABLES
from sources.contract import WHOLE as COUNT
from sources.delimited import literal
from sources.files import DeliveredFiles
from sources.grammar import text_of, typed
from sources.interface import DeliveryRefused, SourceFile

TODAY = date(2024, 6, 15)
KEY = b"a key"
WHOLE = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 31))

BANK = {
    "product": "product_id,product_line\nP1,deposits\n",
    "customer": "customer_id,birth_date,customer_since,full_name\n"
    "C1,1980-01-01,2023-05-01,Ann\nC2,1990-02-02,2024-01-05,Bob\n",
    "account": "account_id,product_id,opened_on,closed_on\nA1,P1,2023-05-01,\nA2,P1,2024-01-05,\n",
    "account_holder": "account_id,customer_id,role\nA1,C1,owner\nA2,C2,owner\n",
    "transaction": "transaction_id,account_id,booked_on,amount,kind,balance_after\n"
    "T1,A1,2024-01-10,100.00,deposit,100.00\n"
    "T2,A1,2024-02-10,-30.50,withdrawal,69.50\n"
    "T3,A2,2024-03-10,7.25,interest_paid,7.25\n",
}


class Bank:
    """A delivery on disk, its landing folder and its warehouse."""

    def __init__(self, folder: Path) -> None:
        self.delivery, self.landing = folder / "delivery", folder / "landing"
        self.delivery.mkdir(parents=True)
        self.warehouse = duckdb.connect()
        for table, text in BANK.items():
            self.put(f"{table}.csv", text)

    def put(self, name: str, text: str) -> None:
        path = self.delivery / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add(self, table: str, *lines: str) -> None:
        path = self.delivery / f"{table}.csv"
        path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))

    def land(self, window: Window = WHOLE, today: date = TODAY) -> LandingSummary:
        source = DeliveredFiles(self.delivery)
        return land(self.warehouse, source, window, self.landing, KEY, today)

    def rows(self, query: str) -> list[tuple]:
        return self.warehouse.execute(query).fetchall()

    def faults(self, table: str) -> list[tuple]:
        return self.rows(
            f'select row_number, rule, column_name, value from quarantine."{table}" '
            "order by row_number, rule, column_name"
        )

    def ids(self, table: str, column: str) -> list[str]:
        return [
            value for (value,) in self.rows(f'select {column} from landing."{table}" order by all')
        ]

    def digests(self) -> dict[str, str]:
        return {
            path.relative_to(self.landing).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.landing.rglob("*.parquet"))
        }


@pytest.fixture
def bank(tmp_path):
    return Bank(tmp_path)


def test_a_clean_delivery_lands_typed_by_month_with_nothing_in_quarantine(bank):
    summary = bank.land()
    assert summary.quarantined == 0
    assert bank.rows("select * from landing.\"transaction\" where month = date '2024-02-01'") == [
        ("T2", "A1", date(2024, 2, 10), Decimal("-30.50"), "withdrawal")
        + (None, None, None, Decimal("69.50"), date(2024, 2, 1))
    ]
    assert sorted(bank.digests()) == [
        "account/extract_month=1900-01/data.parquet",
        "account_holder/extract_month=1900-01/data.parquet",
        "customer/extract_month=1900-01/data.parquet",
        "product/extract_month=1900-01/data.parquet",
        "transaction/month=2024-01/data.parquet",
        "transaction/month=2024-02/data.parquet",
        "transaction/month=2024-03/data.parquet",
    ]
    assert bank.rows("select * from landing.refresh_window") == [
        (date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 31), date(2024, 1, 1), "files")
    ]


def test_every_view_has_the_contracts_columns_and_types_landed_or_not(bank):
    def described():
        return {
            table.name: bank.rows(
                f'select column_name, column_type from (describe landing."{table.name}")'
            )
            for table in TABLES
        }

    empty_landing(bank.warehouse)
    empty = described()
    assert all(bank.rows(f'select count(*) from landing."{t.name}"') == [(0,)] for t in TABLES)
    bank.land()
    assert described() == empty
    for table in TABLES:
        wanted = [(c.name, c.type) for c in table.columns if not c.personal]
        part = "month" if table.event else "extract_month"
        if part not in dict(wanted):
            wanted.append((part, "DATE"))
        assert empty[table.name] == wanted


GOOD = "T9,A1,2024-02-01,1.00,fee,"


@pytest.mark.parametrize(
    ("line", "rule", "column", "value"),
    [
        (",A1,2024-02-01,1.00,fee,", "required", "transaction_id", None),
        ("T9,,2024-02-01,1.00,fee,", "required", "account_id", None),
        ("T9,A1,,1.00,fee,", "required", "booked_on", None),
        ("T9,A1,2024-02-30,1.00,fee,", "type", "booked_on", "2024-02-30"),
        ("T9,A1,01.02.2024,1.00,fee,", "type", "booked_on", "01.02.2024"),
        ("T9,A1,2024-02-01,12x,fee,", "type", "amount", "12x"),
        ('T9,A1,2024-02-01,"1,50",fee,', "type", "amount", "1,50"),
        ("T9,A1,2024-02-01,1.005,fee,", "precision", "amount", "1.005"),
        ("T9,A1,2024-02-01,9000000000000.00,fee,", "range", "amount", "9000000000000.00"),
        ("T9,A1,2024-02-01,1.00,barter,", "allowed_values", "kind", "barter"),
        ("T9,A9,2024-02-01,1.00,fee,", "reference", "account_id", "A9"),
        ("T9,A1,2024-06-16,1.00,fee,", "date_in_future", "booked_on", "2024-06-16"),
        ("T9,A1,infinity,1.00,fee,", "type", "booked_on", "infinity"),
        ("T9,A1,2023-12-31,1.00,fee,", "before_first_month", "booked_on", "2023-12-31"),
        ("T1,A1,2024-01-10,100.00,deposit,100.00", "duplicate_row", "transaction_id", "T1"),
        ("T1,A1,2024-02-01,1.00,fee,", "duplicate_key", "transaction_id", "T1"),
        ("T9,A1,2024-02-01", "malformed_row", None, "3 field(s) instead of 6"),
        (GOOD + ",x", "malformed_row", None, "7 field(s) instead of 6"),
    ],
)
def test_a_row_that_breaks_a_rule_is_set_aside_with_row_column_and_value(
    bank, line, rule, column, value
):
    bank.add("transaction", line)
    summary = bank.land()
    assert bank.faults("transaction") == [(4, rule, column, value)]
    assert bank.ids("transaction", "transaction_id") == ["T1", "T2", "T3"]
    (table,) = [table for table in summary.tables if table.table_name == "transaction"]
    assert (table.rows, table.landed, table.quarantined, table.rules) == (4, 3, 1, {rule: 1})
    assert CURES[rule] in summary.lines()[0]


def test_the_good_row_beside_them_lands(bank):
    bank.add("transaction", GOOD)
    bank.land()
    assert bank.ids("transaction", "transaction_id") == ["T1", "T2", "T3", "T9"]


def test_a_row_is_reported_with_every_rule_it_breaks(bank):
    bank.add("transaction", "T9,A9,yesterday,12x,barter,")
    bank.land()
    assert bank.faults("transaction") == [
        (4, "allowed_values", "kind", "barter"),
        (4, "reference", "account_id", "A9"),
        (4, "type", "amount", "12x"),
        (4, "type", "booked_on", "yesterday"),
    ]


@pytest.mark.parametrize(
    ("line", "rule", "column"),
    [
        ("C3,2024-04-01,2024-03-01,Eve", "range", "birth_date"),
        ("C3,1850-01-01,2024-03-01,Eve", "range", "birth_date"),
        ("C3,1980-01-01,2025-01-01,Eve", "date_in_future", "customer_since"),
        ("C1,1980-01-01,2023-05-01,Eve", "duplicate_key", "customer_id"),
    ],
)
def test_customer_rows_that_break_a_rule_are_set_aside_too(bank, line, rule, column):
    bank.add("customer", line)
    bank.land()
    assert [fault[:3] for fault in bank.faults("customer")] == [(3, rule, column)]


def test_the_first_sound_row_of_a_repeated_key_stays(bank):
    (bank.delivery / "transaction.csv").unlink()
    header = BANK["transaction"].splitlines()[0]
    bank.put(
        "transaction/2024-01.csv",
        f"{header}\nT1,A1,2024-01-01,bad,fee,\nT2,A1,2024-01-02,2.00,fee,\n",
    )
    bank.put(
        "transaction/2024-02.csv",
        f"{header}\nT1,A1,2024-02-01,1.00,fee,\nT2,A1,2024-02-02,3.00,fee,\n"
        "T2,A1,2024-01-02,2.00,fee,\n",
    )
    bank.land()
    assert bank.rows(
        'select transaction_id, booked_on, amount::double from landing."transaction" order by 1'
    ) == [("T1", date(2024, 2, 1), 1.0), ("T2", date(2024, 1, 2), 2.0)]
    assert bank.rows("select file, row_number, rule from quarantine.transaction") == [
        ("transaction/2024-01.csv", 1, "type"),
        ("transaction/2024-02.csv", 2, "duplicate_key"),
        ("transaction/2024-02.csv", 3, "duplicate_row"),
    ]


def test_a_child_of_a_quarantined_parent_follows_it_and_names_the_first_cause(bank):
    bank.add("product", "P9,deposit accounts")
    bank.add("account", "A3,P9,2024-01-01,", "A4,P8,2024-01-01,")
    bank.add("account_holder", "A3,C1,owner")
    bank.add("transaction", "T8,A3,2024-02-01,1.00,fee,", "T9,A4,2024-02-01,1.00,fee,")
    summary = bank.land()
    assert bank.faults("product") == [(2, "allowed_values", "product_line", "deposit accounts")]
    assert bank.faults("account") == [
        (3, "parent_quarantined", "product_id", "P9"),
        (4, "reference", "product_id", "P8"),
    ]
    assert bank.rows("select rule, cause from quarantine.transaction order by row_number") == [
        ("parent_quarantined", "product.product_line: allowed_values"),
        ("parent_quarantined", "account.product_id: reference"),
    ]
    assert summary.lines() == [
        "product: 1 row(s) of 2 break allowed_values (product_line: `deposit accounts` (1 row): "
        "did you mean `deposits`?; allowed: `deposits`, `lending`, `cards`, `wealth`, `agency`, "
        f"`payments`); {CURES['allowed_values']}; row(s) that refer to them follow: 1 of account, "
        "1 of account_holder, 1 of transaction",
        f"account: 1 row(s) of 4 break reference; {CURES['reference']}; row(s) that refer to them "
        "follow: 1 of transaction",
    ]


def test_a_key_with_a_sound_row_beside_a_broken_one_has_its_children(bank):
    bank.add("product", "P1,misc")
    bank.land()
    assert bank.ids("account", "account_id") == ["A1", "A2"]


def test_unknown_codes_are_listed_with_suggestions(bank):
    bank.add(
        "transaction",
        *(f"X{n},A1,2024-02-01,1.00,depsit," for n in range(12)),
        *(f"Y{n},A1,2024-02-01,1.00,Card-Payment," for n in range(3)),
        *(f"Z{n},A1,2024-02-01,1.00,code {n}," for n in range(7)),
    )
    bank.land()
    ((rows, detail, allowed),) = bank.rows("select rows, detail, allowed from meta.bad_code")
    assert rows == 22
    assert allowed.startswith("`deposit`, `withdrawal`, ")
    assert detail == (
        "`depsit` (12 rows): did you mean `deposit`?; `Card-Payment` (3 rows): did you mean "
        "`card_payment`?; `code 0` (1 row); `code 1` (1 row); `code 2` (1 row); "
        "4 other values (4 rows)"
    )


def test_possibly_personal_values_are_counted_and_not_shown(bank):
    """A shifted row has a name where the sex belongs; a code is what many rows have in common."""
    rows = [f"C9{n},1980-01-01,{'M' if n < 30 else 'Ann Smith'}" for n in range(32)]
    bank.put("customer.csv", "customer_id,birth_date,sex\nC1,,\nC2,,\n" + "\n".join(rows))
    summary = bank.land()
    ((detail,),) = bank.rows("select detail from meta.bad_code")
    assert detail == "`M` (30 rows): did you mean `male`?; 1 other value (2 rows)"
    assert "Ann" not in "\n".join(summary.lines())
    assert not bank.rows("select 1 from quarantine.customer where value in ('M', 'Ann Smith')")


def test_rows_dated_later_and_their_children_are_counted_not_seen(bank):
    bank.add("account", "A3,P1,2024-05-01,")
    bank.add("account_holder", "A3,C1,owner")
    bank.add("transaction", "T8,A1,2024-04-01,1.00,fee,", "T9,A3,2024-02-01,1.00,fee,")
    summary = bank.land()
    assert bank.ids("account", "account_id") == ["A1", "A2"]
    assert bank.ids("account_holder", "account_id") == ["A1", "A2"]
    assert bank.ids("transaction", "transaction_id") == ["T1", "T2", "T3"]
    counted = {table.table_name: table.after_as_of for table in summary.tables}
    assert counted == {
        "customer": 0,
        "product": 0,
        "account": 1,
        "account_holder": 1,
        "transaction": 2,
    }
    assert summary.quarantined == 0


def test_optional_events_before_the_first_booking_are_counted_not_seen(bank):
    bank.put(
        "interaction.csv",
        "interaction_id,customer_id,occurred_on,topic\n"
        "I1,C1,2023-12-31,visit\nI2,C1,2021-01-01,no topic\nI3,C1,2024-01-01,visit\n"
        "I4,C1,2023-02-30,visit\n",
    )
    for as_of in (date(2024, 2, 29), date(2024, 3, 31)):
        month = as_of.replace(day=1)
        summary = bank.land(Window(date(2024, 1, 1), date(2024, 1, 1), month, as_of))
        assert bank.ids("interaction", "interaction_id") == ["I3"]
        assert bank.faults("interaction") == [(4, "type", "occurred_on", "2023-02-30")]
        assert summary.lines()[0] == (
            "2 of 4 row(s) of interaction lie before the first month of bookings, 2024-01, "
            "and are ignored"
        )
    (counted,) = (table for table in summary.tables if table.table_name == "interaction")
    assert (counted.rows, counted.landed, counted.quarantined) == (4, 1, 1)
    assert (counted.after_as_of, counted.before_first_month) == (0, 2)


def test_the_end_of_the_month_before_the_first_booking_opens_the_history(bank):
    bank.put(
        "account_balance.csv",
        "account_id,month,closing_balance\nA1,2023-10-01,1.00\nA1,2023-11-01,2.00\n"
        "A1,2023-12-01,3.00\nA1,2023-12-02,4.00\nA1,2024-01-01,5.00\n",
    )
    bank.put(
        "fx_rate.csv",
        "month,currency,average_rate,closing_rate\n2023-11-01,USD,0.8,0.8\n"
        "2023-12-01,USD,0.9,0.9\n2024-01-01,USD,1.1,1.1\n",
    )
    summary = bank.land()
    for table in ("account_balance", "fx_rate"):
        months = bank.warehouse.execute(f"select month from landing.{table} order by 1").fetchall()
        assert months == [(date(2023, 12, 1),), (date(2024, 1, 1),)], table
    assert bank.faults("account_balance") == [(4, "month_start", "month", "2023-12-02")]
    assert summary.lines()[0] == (
        "2 of 5 row(s) of account_balance, 1 of 3 row(s) of fx_rate lie before the first month of "
        "bookings, 2024-01, and are ignored; of account_balance, fx_rate, the end of 2023-12 "
        "alone opens the history"
    )


def test_an_optional_reference_to_a_later_parent_is_not_known_yet(bank):
    bank.put("employee.csv", "employee_id,hired_on\nE1,2020-01-01\nE2,2024-05-01\n")
    bank.put(
        "customer.csv",
        "customer_id,employee_id\nC1,E1\nC2,E2\n",
    )
    bank.land()
    assert bank.rows("select customer_id, employee_id from landing.customer order by 1") == [
        ("C1", "E1"),
        ("C2", None),
    ]


def test_a_closing_after_the_as_of_date_is_not_known_yet(bank):
    bank.put(
        "account.csv",
        "account_id,product_id,opened_on,closed_on\n"
        "A1,P1,2023-05-01,2024-03-31\nA2,P1,2024-01-05,2024-04-01\n",
    )
    bank.land()
    assert bank.rows("select account_id, closed_on from landing.account order by 1") == [
        ("A1", date(2024, 3, 31)),
        ("A2", None),
    ]


def test_a_currency_lands_as_its_code_or_goes_to_quarantine(bank):
    bank.put(
        "account.csv",
        "account_id,product_id,opened_on,currency\n"
        "A1,P1,2023-05-01,eur \nA2,P1,2024-01-05,\nA3,P1,2024-01-05,euro\n",
    )
    bank.land()
    assert bank.rows("select account_id, currency from landing.account order by 1") == [
        ("A1", "EUR"),
        ("A2", None),
    ]
    assert bank.faults("account") == [(3, "form", "currency", "euro")]


def test_an_account_closed_before_it_opened_is_set_aside(bank):
    bank.add("account", "A3,P1,2024-02-01,2024-01-31")
    bank.land()
    assert bank.faults("account") == [(3, "range", "closed_on", "2024-01-31")]


def test_an_adjustment_of_one_person_is_set_aside(bank):
    head = "adjustment_id,month,branch_id,product_line,item,amount,reason,maker,checker\n"
    row = "2024-02-01,B1,deposits,fee_income,12.00,boxes"
    bank.put("adjustment.csv", f"{head}J1,{row},F1,F2\nJ2,{row},F1, f1\nJ3,{row},F1,\n")
    summary = bank.land()
    assert bank.faults("adjustment") == [
        (2, "two_persons", "checker", " f1"),
        (3, "required", "checker", None),
    ]
    assert bank.ids("adjustment", "adjustment_id") == ["J1"]
    message = " ".join(summary.lines())
    assert "maker and checker are the same person: an adjustment needs two persons" in message


def test_owners_whose_shares_are_more_than_one_are_set_aside(bank):
    """A1 on 15 February: 0.6 + 0.5. A2's shares follow one another."""
    head = "account_id,employee_id,share,role,valid_from,valid_to\n"
    rows = (
        "A1,E1,0.6,manager,2024-01-01,",
        "A1,E2,0.5,seller,2024-02-15,2024-02-20",
        "A1,E3,0.4,seller,2024-02-21,",
        "A2,E1,1,manager,2024-01-05,2024-02-14",
        "A2,E2,0.5,manager,2024-02-15,",
        "A2,E3,0.5,seller,2024-02-15,",
        "A2,E4,1,seller,2024-04-01,",
        "A2,E5,0,seller,2024-02-01,",
        "A2,E6,0.1,seller,2024-02-01,2024-01-31",
    )
    bank.put("account_owner.csv", head + "".join(f"{row}\n" for row in rows))
    summary = bank.land()
    assert bank.faults("account_owner") == [
        (1, "shares_above_one", "share", "A1, 2024-02-15: 1.100000"),
        (2, "shares_above_one", "share", "A1, 2024-02-15: 1.100000"),
        (8, "range", "share", "0"),
        (9, "range", "valid_to", "2024-01-31"),
    ]
    assert bank.ids("account_owner", "employee_id") == ["E1", "E2", "E3", "E3"]
    (message,) = (line for line in summary.lines() if "shares_above_one" in line)
    assert message.startswith(
        "account_owner: 2 row(s) of 9 break shares_above_one; correct the shares"
    )
    ((counted,),) = bank.rows(
        "select quarantined_rows from meta.quarantine_share "
        "where table_name = 'account_owner' and rule_class = 'other'"
    )
    assert counted == 4


def test_a_monthly_table_dated_within_the_month_is_set_aside(bank):
    bank.put("loan.csv", "loan_id,account_id,granted_on\nL1,A1,2024-01-02\n")
    bank.put(
        "loan_status.csv",
        "loan_id,month,outstanding\nL1,2024-02-01,10.00\nL1,2024-03-15,10.00\n",
    )
    bank.land()
    assert bank.faults("loan_status") == [(2, "month_start", "month", "2024-03-15")]
    assert bank.rows("select month from landing.loan_status") == [(date(2024, 2, 1),)]


def test_extracts_keep_their_months_and_later_ones_are_not_seen(bank):
    (bank.delivery / "customer.csv").unlink()
    for month, name in (("2024-01", "Ann"), ("2024-03", "Anna"), ("2024-04", "Annie")):
        bank.put(
            f"customer/{month}.csv",
            f"customer_id,occupation,full_name\nC1,job {month},{name}\nC2,,Bob\n",
        )
    summary = bank.land()
    assert bank.rows(
        "select extract_month, occupation from landing.customer where customer_id = 'C1' order by 1"
    ) == [(date(2024, 1, 1), "job 2024-01"), (date(2024, 3, 1), "job 2024-03")]
    assert bank.rows(
        "select extract_month, rows, landed, after_as_of from meta.input_file "
        "where table_name = 'customer' order by path"
    ) == [
        (date(2024, 1, 1), 2, 2, 0),
        (date(2024, 3, 1), 2, 2, 0),
        (date(2024, 4, 1), 2, 0, 2),
    ]
    assert summary.quarantined == 0


def test_identities_are_in_no_table_and_no_file(bank):
    bank.land()
    assert (
        bank.rows(
            "select distinct schema_name from duckdb_columns() where not internal and "
            "column_name in ('full_name', 'phone', 'email', 'national_id')"
        )
        == []
    )
    for path in bank.landing.rglob("*.parquet"):
        assert b"full_name" not in path.read_bytes()
        assert b"Ann" not in path.read_bytes()


def test_quarantine_of_a_table_with_personal_columns_shows_tokens_only(bank):
    """Whichever column breaks a rule: a shifted row puts an e-mail in a date or in the key."""
    bank.add("customer", "ann@mail.example", "C5,bob@mail.example,,Bob")
    bank.add("customer", "ann@mail.example,1990-01-01,,", "ann@mail.example,1991-01-01,,")
    bank.land()
    found = bank.rows("select rule, column_name, value from quarantine.customer order by all")
    assert {(rule, column) for rule, column, _ in found} >= {
        ("type", "birth_date"),
        ("duplicate_key", "customer_id"),
    }
    assert "mail.example" not in str(found)
    tokens = {value for _, _, value in found}
    assert hashlib.sha256(KEY + b"bob@mail.example").hexdigest()[:16] in tokens
    assert hashlib.sha256(KEY + b"ann@mail.example").hexdigest()[:16] in tokens


def test_every_row_of_every_file_is_counted_once(bank):
    bank.add("transaction", "T9,A9,2024-02-01,1.00,fee,", "T8,A1,2024-05-01,1.00,fee,", "T7")
    bank.land()
    assert bank.rows(
        "select path, rows, landed, quarantined, after_as_of, sha256 from meta.input_file "
        "where table_name = 'transaction'"
    ) == [
        (
            "transaction.csv",
            6,
            3,
            2,
            1,
            hashlib.sha256((bank.delivery / "transaction.csv").read_bytes()).hexdigest(),
        )
    ]


def test_quarantine_shares_are_of_the_rows_seen_by_class_with_their_tolerance(bank):
    bank.add(
        "transaction",
        "T9,A9,2024-02-01,1.00,barter,",
        "T8,A1,2024-02-01,1.00,barter,",
        "T7,A1,2024-05-01,1.00,fee,",
    )
    bank.land()
    assert bank.rows(
        "select * exclude (table_name) from meta.quarantine_share "
        "where table_name = 'transaction' order by rule_class"
    ) == [("key_or_reference", 5, 1, 0.0005), ("other", 5, 2, 0.001)]


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    later=st.lists(
        st.sampled_from(
            [
                ("transaction", "T1,A1,2024-04-01,1.00,fee,"),
                ("transaction", "T50,A50,2024-05-01,bad,barter,"),
                ("transaction", ",A1,2024-04-02,1.00,fee,"),
                ("account", "A1,P1,2024-04-03,"),
                ("account", "A5,P9,2024-04-03,"),
                ("account_holder", "A5,C1,nobody"),
                ("customer", "C5,,2024-04-09,Late"),
                ("customer", "C1,1980-01-01,2024-05-01,Late"),
                ("account_holder", "A2,C5,joint"),
            ]
        ),
        max_size=12,
    )
)
def test_rows_dated_later_change_no_landed_row_and_no_judgement(tmp_path_factory, later):
    before, after = (Bank(tmp_path_factory.mktemp("bank")) for _ in range(2))
    # Rows without a date of their own are later by their parent: it must be there.
    after.add("account", "A5,P1,2024-04-01,")
    after.add("customer", "C5,,2024-04-01,Late")
    for table, line in later:
        after.add(table, line)
    before.land()
    after.land()
    assert after.digests() == before.digests()
    for table in BANK:
        assert after.faults(table) == before.faults(table) == []
    share = "select * from meta.quarantine_share"
    assert after.rows(share) == before.rows(share)


def test_a_window_of_some_months_still_lands_all_months(bank):
    """What G1 compares with the release before does not depend on the months asked for."""
    bank.land(replace(WHOLE, month_from=date(2024, 3, 1)))
    assert bank.ids("transaction", "transaction_id") == ["T1", "T2", "T3"]


def test_landing_a_month_again_gives_the_same_bytes_and_touches_no_other_file(bank):
    bank.add("transaction", "T9,A9,2024-02-01,1.00,fee,", "T0,A1,2024-02-05,1.00,fee,")
    bank.land()
    before, meta = bank.digests(), bank.rows("from meta.input_file")
    faults = bank.rows("from quarantine.transaction")
    outside = {
        path: path.stat().st_mtime_ns
        for path in bank.landing.rglob("*.parquet")
        if "/month=" in path.as_posix() and "month=2024-02" not in path.as_posix()
    }
    assert len(outside) == 2
    month = Window(date(2024, 1, 1), date(2024, 2, 1), date(2024, 2, 1), date(2024, 3, 31))
    bank.land(month)
    assert bank.digests() == before
    assert {path: path.stat().st_mtime_ns for path in outside} == outside
    assert bank.rows("from meta.input_file") == meta
    assert bank.rows("from quarantine.transaction") == faults
    assert bank.rows("select month_from, month_to from landing.refresh_window") == [
        (date(2024, 2, 1), date(2024, 2, 1))
    ]


def test_the_months_of_the_window_and_changed_ones_are_written(bank):
    bank.land()
    before = bank.digests()
    bank.add("transaction", "T8,A1,2024-01-20,1.00,fee,")
    bank.land(Window(date(2024, 1, 1), date(2024, 2, 1), date(2024, 2, 1), date(2024, 3, 31)))
    changed = {name for name, digest in bank.digests().items() if digest != before[name]}
    assert changed == {"transaction/month=2024-01/data.parquet"}


def test_a_month_without_rows_leaves_no_file_behind(bank):
    bank.land()
    bank.put("transaction.csv", "\n".join(BANK["transaction"].splitlines()[:2]) + "\n")
    bank.land()
    assert [name for name in bank.digests() if name.startswith("transaction")] == [
        "transaction/month=2024-01/data.parquet"
    ]


def test_an_earlier_as_of_date_does_not_see_the_months_of_a_later_one(bank):
    bank.land()
    bank.land(Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 1, 1), date(2024, 1, 31)))
    assert bank.ids("transaction", "transaction_id") == ["T1"]


def test_months_of_another_bank_are_cleared_by_a_whole_run_and_refused_by_a_part(bank, tmp_path):
    bank.land()
    other = Bank(tmp_path / "other")
    other.landing = bank.landing
    part = Window(date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 1), date(2024, 3, 31))
    with pytest.raises(DeliveryRefused, match="whole history"):
        other.land(part)
    other.put("transaction.csv", "\n".join(BANK["transaction"].splitlines()[:2]) + "\n")
    other.land()
    assert [name for name in other.digests() if name.startswith("transaction")] == [
        "transaction/month=2024-01/data.parquet"
    ]


def test_the_same_delivery_elsewhere_gives_the_same_tables(bank, tmp_path):
    bank.add("transaction", "T9,A9,2024-02-01,1.00,fee,")
    other = Bank(tmp_path / "elsewhere")
    other.add("transaction", "T9,A9,2024-02-01,1.00,fee,")
    bank.land()
    other.land()
    assert other.digests() == bank.digests()
    for table in ("meta.input_file", "quarantine.transaction"):
        assert other.rows(f"from {table}") == bank.rows(f"from {table}")


def test_a_failed_landing_leaves_the_tables_landed_before(bank):
    bank.land()
    before = bank.digests()
    path = bank.delivery / "loan.parquet"
    bank.rows(
        f"copy (select i::varchar as loan_id, 'A1' as account_id, date '2024-01-01' as granted_on "
        f"from range(100000) r(i)) to '{path}'"
    )
    content = bytearray(path.read_bytes())
    content[50 : len(content) // 2] = bytes(len(content) // 2 - 50)
    path.write_bytes(bytes(content))
    with pytest.raises(DeliveryRefused, match="loan.parquet.*cannot be read"):
        bank.land()
    assert bank.digests() == before
    assert bank.ids("transaction", "transaction_id") == ["T1", "T2", "T3"]
    temporary = "select count(*) from duckdb_tables() where temporary"
    assert bank.rows(temporary) == [(0,)]


def test_memory_stays_within_a_small_limit(tmp_path):
    """300,000 bookings of text under a limit of 100 MB, with a broken row in each file."""
    bank = Bank(tmp_path)
    (bank.delivery / "transaction.csv").unlink()
    (bank.delivery / "transaction").mkdir()
    for month in (1, 2, 3):
        bank.rows(
            f"copy (select '{month}-' || i as transaction_id, 'A1' as account_id, "
            f"'2024-0{month}-05' as booked_on, if(i = 7, 'x', '1.50') as amount, 'fee' as kind, "
            "'a counterparty with a long name ' || i as counterparty_account "
            f"from range(100000) r(i)) to '{bank.delivery}/transaction/{month}.parquet'"
        )
    bank.warehouse.close()
    bank.warehouse = duckdb.connect(tmp_path / "warehouse.duckdb")
    bank.rows("set memory_limit = '100MB'")
    bank.land()
    assert bank.rows('select count(*) from landing."transaction"') == [(299_997,)]
    assert [fault[:2] for fault in bank.faults("transaction")] == [(8, "type")] * 3


@pytest.mark.parametrize(
    ("last", "month"),
    [
        ("2024-03-31", "2024-03"),
        ("2024-03-29", "2024-03"),
        ("2024-03-28", "2024-02"),
        ("2024-02-27", "2024-02"),
        ("2024-02-26", "2024-01"),
        ("2023-12-29", "2023-12"),
        ("2024-01-02", "2023-12"),
    ],
)
def test_the_as_of_month_is_the_last_complete_one(bank, last, month):
    header = BANK["transaction"].splitlines()[0]
    lines = ["T0,A1,2022-06-01,1.00,fee,", f"T1,A1,{last},1.00,fee,", "T2,A1,2024-07-01,1,fee,"]
    bank.put("transaction.csv", "\n".join([header, *lines, "T3,A1,soon,1,fee,"]) + "\n")
    source = DeliveredFiles(bank.delivery)
    assert last_booking(bank.warehouse, source, TODAY) == date.fromisoformat(last)
    assert resolve_as_of(bank.warehouse, source, TODAY) == month


def test_the_history_begins_after_a_stray_early_date_but_before_a_missing_month(bank):
    bank.add("transaction", "T8,A1,1950-01-01,1.00,fee,", "T9,A1,2023-08-01,1.00,fee,")
    source = DeliveredFiles(bank.delivery)
    assert first_booking_month(bank.warehouse, source, TODAY) == "2023-08"
    assert source.first_month(bank.warehouse) == "2023-08"


def test_a_delivery_without_bookings_is_refused(bank):
    bank.put("transaction.csv", BANK["transaction"].splitlines()[0] + "\n")
    for resolve in (resolve_as_of, first_booking_month):
        with pytest.raises(DeliveryRefused, match="at least one booking"):
            resolve(bank.warehouse, DeliveredFiles(bank.delivery), TODAY)


@pytest.mark.parametrize(
    "days",
    [
        ("2024-01-02", "2024-01-01", "2024-03-01", "2024-03-31"),
        ("2024-01-01", "2024-01-01", "2024-03-01", "2024-03-30"),
        ("2024-02-01", "2024-01-01", "2024-03-01", "2024-03-31"),
        ("2024-01-01", "2024-03-01", "2024-02-01", "2024-03-31"),
        ("2024-01-01", "2024-01-01", "2024-04-01", "2024-03-31"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(days):
    with pytest.raises(ValueError):
        Window(*map(date.fromisoformat, days))


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("T9,A1,epoch,1.00,fee,", "booked_on"),
        ("T9,A1,2024-2-1,1.00,fee,", "booked_on"),
        ("T9,A1,2024/02/01,1.00,fee,", "booked_on"),
        ("T9,A1,2024-02-01T16:00:00Z,1.00,fee,", "booked_on"),
        ("T9,A1,2024-02-01,0x1F,fee,", "amount"),
        ("T9,A1,2024-02-01,0b11,fee,", "amount"),
        ("T9,A1,2024-02-01,1_000.50,fee,", "amount"),
        ("T9,A1,2024-02-01,1e3,fee,", "amount"),
        ("T9,A1,2024-02-01,nan,fee,", "amount"),
        ("T9,A1,2024-02-01,infinity,fee,", "amount"),
    ],
)
def test_nonstandard_dates_and_amounts_are_set_aside(bank, line, column):
    bank.add("transaction", line)
    bank.land()
    assert [fault[1:3] for fault in bank.faults("transaction")] == [("type", column)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("2024-02-29", DAY, date(2024, 2, 29)),
        ("2024-02-29 23:59:59.9", DAY, date(2024, 2, 29)),
        ("2024-02-29T00:00:00.000Z", DAY, date(2024, 2, 29)),
        ("2024-02-29 01:00:00+00", DAY, None),
        ("2024-02-30", DAY, None),
        (" -.50 ", MONEY, Decimal("-0.50")),
        ("+12", MONEY, Decimal("12.00")),
        ("12.0", COUNT, 12),
        ("0x1F", COUNT, None),
        ("5e-05", RATE, Decimal("0.000050")),
        ("5e-05", REAL, 5e-05),
        ("inf", REAL, None),
        ("TRUE", FLAG, True),
        ("0", FLAG, False),
        ("yes", FLAG, None),
        ("t", FLAG, None),
        ("2", FLAG, None),
    ],
)
def test_the_contract_has_a_grammar_of_its_own(text, kind, value):
    given = text_of(literal(text), kind)
    with duckdb.connect() as connection:
        assert connection.execute(f"select {typed(given, kind)}").fetchall() == [(value,)]


def test_the_last_value_of_forty_megabytes_is_set_aside_with_its_reason(bank):
    bank.add("transaction", f"T9,A1,2024-02-01,1.00,fee,{'9' * 40_000_000}")
    bank.land()
    assert bank.faults("transaction") == [(4, "malformed_row", None, "longer than 1,000,000 bytes")]
    assert bank.ids("transaction", "transaction_id") == ["T1", "T2", "T3"]


def test_a_value_of_a_parquet_file_that_is_too_long_is_set_aside(bank):
    (bank.delivery / "product.csv").unlink()
    bank.warehouse.execute(
        "copy (select 'P' || n as product_id, 'deposits' as product_line, "
        "repeat('x', case n when 2 then 1000001 else 1 end) as product_name "
        f"from range(1, 3) t(n)) to '{bank.delivery / 'product.parquet'}' (format parquet)"
    )
    bank.land()
    assert [fault[:3] for fault in bank.faults("product")] == [(2, "length", "product_name")]
    assert bank.ids("product", "product_id") == ["P1"]


class Tampered(DeliveredFiles):
    """A delivery to which something happens between its inspection and its landing."""

    def __init__(self, path: Path, happens: Callable[[SourceFile], SourceFile]) -> None:
        super().__init__(path)
        self.happens = happens

    def files(self, connection: duckdb.DuckDBPyConnection) -> list[SourceFile]:
        return [self.happens(file) for file in super().files(connection)]


def test_a_file_that_changes_while_it_is_read_is_refused(bank):
    def written_on(file: SourceFile) -> SourceFile:
        if file.table == "transaction":
            bank.add("transaction", GOOD)
        return file

    with pytest.raises(DeliveryRefused, match="transaction.csv: changed while it was being read"):
        land(bank.warehouse, Tampered(bank.delivery, written_on), WHOLE, bank.landing, KEY, TODAY)
    assert bank.digests() == {}


def test_a_file_read_with_another_number_of_rows_is_refused(bank):
    def cut(file: SourceFile) -> SourceFile:
        return replace(file, relation=f"select * from ({file.relation}) limit 1")

    with pytest.raises(DeliveryRefused, match="customer.csv: .*expected 2 row.*read 1"):
        land(bank.warehouse, Tampered(bank.delivery, cut), WHOLE, bank.landing, KEY, TODAY)
