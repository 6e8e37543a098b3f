"""Berka's mapping beside plain Python over the raw files, and on a bank of a few lines."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.engine import Window, first_booking_month, land, resolve_as_of
from orchestration.models.loan_application import HEADERS as READ
from sources.berka import Berka
from tests.conftest import real_data

AS_OF = "940331"
WHOLE = Window(date(1993, 1, 1), date(1993, 1, 1), date(1994, 3, 1), date(1994, 3, 31))

HEADERS = {
    **READ,
    "order": ("order_id", "account_id", "bank_to", "account_to", "amount", "k_symbol"),
}
SMALL = {
    "account": ['576;55;"POPLATEK MESICNE";930101', '600;1;"POPLATEK TYDNE";940401'],
    "client": ['1;"706213";55', '2;"450204";1', '3;"451399";1', '4;"unknown";1'],
    "disp": ['1;1;576;"OWNER"', '2;2;576;"DISPONENT"', '3;3;600;"OWNER"', '4;4;576;"CLERK"'],
    "district": [
        '1;"Hl.m. Praha";"Prague";1204953;0;0;0;1;1;100.0;12541;0.29;0.43;167;85677;99107',
        '55;"Brno";"south Moravia";?;0;0;0;1;1;100.0;9000;?;4.0;1;?;1',
    ],
    "trans": [
        '1;576;930101;"PRIJEM";"VKLAD";900.00;900.00;"";;',
        '2;576;930131;"PRIJEM";"";3.10;903.10;"UROK";;',
        '3;576;930201;"VYDAJ";"PREVOD NA UCET";100.00;803.10;"SIPO";"AB";"123"',
        '4;576;930202;"VYBER";"VYBER";50.00;753.10;" ";;',
        '5;576;930203;"VYDAJ";"VYBER";14.60;738.50;"SLUZBY";;',
        '6;576;930204;"VYDAJ";"VYBER";1.40;737.10;"SANKC. UROK";;',
        '7;576;930205;"VYDAJ";"VYBER KARTOU";100.00;637.10;"";;',
        '8;576;930206;"PRIJEM";"PREVOD Z UCTU";500.00;1137.10;"DUCHOD";"CD";"9"',
        '9;576;930207;"PREVOD";"VKLAD";5.00;1142.10;"";;',
        '10;576;930208;"PRIJEM";"SEK";5.00;1142.10;"";;',
        '11;576;930209;"PRIJEM";"VKLAD";5.00;1142.10;"DAR";;',
        '12;576;930230;"PRIJEM";"VKLAD";5.00;1142.10;"";;',
        '13;576;931;"PRIJEM";"VKLAD"',
        '14;576;930301;"VYDAJ";"PREVOD NA UCET";10.00;1132.10;"UVER";"AB";"77"',
        '15;576;930302;"VYDAJ";"PREVOD NA UCET";10.00;1122.10;"POJISTNE";"AB";"78"',
        '16;576;930303;"VYDAJ";"PREVOD NA UCET";10.00;1112.10;"";"AB";"79"',
    ],
    "card": ['10;1;"gold";931107 00:00:00', '11;9;"gold";931107 00:00:00'],
    "loan": ['20;576;930705;96396;12;8033.00;"B"'],
    "order": ['30;576;"YZ";"87144583";2452.00;"SIPO"', '31;576;"YZ";"1";10.00;" "'],
}


def deliver(folder: Path, **changed: list[str]) -> Path:
    folder.mkdir()
    for name, lines in {**SMALL, **changed}.items():
        header = ";".join(f'"{column}"' for column in HEADERS[name])
        (folder / f"{name}.asc").write_text("".join(f"{line}\r\n" for line in [header, *lines]))
    return folder


class Landed:
    def __init__(self, source: Berka, folder: Path) -> None:
        self.warehouse = duckdb.connect()
        self.problems = source.problems(self.warehouse)
        self.summary = land(self.warehouse, source, WHOLE, folder, b"key", today=date(2024, 1, 1))

    def rows(self, query: str) -> list[tuple]:
        return self.warehouse.execute(query).fetchall()

    def faults(self, table: str) -> list[tuple]:
        return self.rows(f'select row_number, rule, column_name, value from quarantine."{table}"')


@pytest.fixture
def small(tmp_path):
    return Landed(Berka(deliver(tmp_path / "berka")), tmp_path / "landing")


@pytest.fixture(scope="module")
def source():
    return Berka(real_data("berka"))


@pytest.fixture(scope="module")
def landed(source, tmp_path_factory):
    return Landed(source, tmp_path_factory.mktemp("landing"))


@pytest.fixture(scope="module")
def raw():
    folder = real_data("berka")

    def read(name):
        with (folder / f"{name}.asc").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter=";"))

    return {name: read(name) for name in SMALL}


def test_codes_become_kinds_channels_and_signs(small):
    assert small.rows(
        """select transaction_id, kind, channel, amount::double, counterparty_bank,
                  counterparty_account
           from landing."transaction" order by transaction_id::integer"""
    ) == [
        ("1", "deposit", "branch", 900.0, None, None),
        ("2", "interest_paid", "system", 3.1, None, None),
        ("3", "transfer_out", "standing_order", -100.0, "AB", "123"),
        ("4", "withdrawal", "branch", -50.0, None, None),
        ("5", "fee", "system", -14.6, None, None),
        ("6", "interest_charged", "system", -1.4, None, None),
        ("7", "card_payment", "card", -100.0, None, None),
        ("8", "pension", None, 500.0, "CD", "9"),
        ("14", "loan_repayment", "standing_order", -10.0, "AB", "77"),
        ("15", "insurance_premium", "standing_order", -10.0, "AB", "78"),
        ("16", "transfer_out", None, -10.0, "AB", "79"),
    ]


def test_codes_missing_from_the_mapping_are_set_aside_by_name(small):
    assert small.faults("transaction") == [
        (9, "type", "amount", "(PREVOD) 5.00"),
        (10, "allowed_values", "kind", "SEK"),
        (11, "allowed_values", "kind", "DAR"),
        (12, "type", "booked_on", "1993-02-30"),
        (13, "malformed_row", None, "5 field(s) instead of 10"),
    ]
    assert small.faults("account_holder") == [
        (4, "allowed_values", "role", "CLERK"),
        (4, "parent_quarantined", "customer_id", "4"),
    ]
    # What stands in a table with personal columns is shown as a token, whatever the column.
    assert small.faults("customer") == [
        (4, "type", "birth_date", hashlib.sha256(b"keyunknown").hexdigest()[:16])
    ]
    assert small.faults("card") == [(2, "reference", "account_id", "disp 9")]


def test_the_birth_number_holds_date_and_sex(small):
    assert small.rows(
        "select customer_id, birth_date, sex, customer_since from landing.customer order by 1"
    ) == [
        ("1", date(1970, 12, 13), "female", date(1993, 1, 1)),
        ("2", date(1945, 2, 4), "male", date(1993, 1, 1)),
    ]


def test_question_marks_and_blanks_are_unknown(small):
    assert small.rows("select population from landing.district order by district_id") == [
        (1204953,),
        (None,),
    ]
    assert small.rows("select purpose from landing.standing_order order by order_id") == [
        ("household",),
        (None,),
    ]


def test_a_loan_comes_without_the_status_it_had_years_later(small):
    assert small.rows("select * exclude (extract_month) from landing.loan") == [
        ("20", "576", date(1993, 7, 5), Decimal("96396.00"), 12, Decimal("8033.00"), None)
    ]


def test_every_problem_of_a_folder_is_listed(tmp_path):
    folder = deliver(tmp_path / "berka", trans=[])
    (folder / "client.asc").unlink()
    (folder / "loan.asc").write_bytes(b"")
    (folder / "card.asc").write_text("card_id,disp_id\n1,2\n")
    (folder / "disp.asc").write_text('"disp_id";"client_id";"account_id"\n1;1;1\n')
    problems = [str(p) for p in Berka(folder).problems(duckdb.connect())]
    assert [problem.split(":")[0] for problem in problems] == [
        "client.asc",
        "disp.asc, column type",
        "card.asc",
        "trans.asc",
    ]
    assert "loan.asc: ignored, no rows" in Berka(folder).notes(duckdb.connect())
    (nowhere,) = Berka(tmp_path / "nowhere").problems(duckdb.connect())
    assert "does not exist" in nowhere.what


def test_cards_loans_and_orders_may_be_left_out(tmp_path):
    folder = deliver(tmp_path / "berka")
    for name in ("card", "loan", "order"):
        (folder / f"{name}.asc").unlink()
    source = Berka(folder)
    landed = Landed(source, tmp_path / "landing")
    assert landed.problems == []
    assert landed.rows("select count(*) from landing.card") == [(0,)]
    assert "no `card`: models do not know the number of a customer's bank cards" in source.notes(
        landed.warehouse
    )


def test_the_real_files_have_no_problems_and_name_their_months(landed, source):
    assert landed.problems == []
    assert first_booking_month(landed.warehouse, source) == "1993-01"
    assert resolve_as_of(landed.warehouse, source) == "1994-03"
    assert landed.summary.quarantined == 0


def test_landed_rows_are_those_plain_python_counts(landed, raw):
    accounts = {row["account_id"] for row in raw["account"] if row["date"] <= AS_OF}
    holders = [row for row in raw["disp"] if row["account_id"] in accounts]
    wanted = {
        "account": len(accounts),
        "account_holder": len(holders),
        "customer": len({row["client_id"] for row in holders}),
        "transaction": sum(row["date"] <= AS_OF for row in raw["trans"]),
        "loan": sum(row["date"] <= AS_OF for row in raw["loan"]),
        "card": sum(row["issued"][:6] <= AS_OF for row in raw["card"]),
        "standing_order": sum(row["account_id"] in accounts for row in raw["order"]),
        "district": len(raw["district"]),
        "branch": len(raw["district"]),
        "product": 1,
    }
    assert wanted["account"] == 1229 and wanted["transaction"] == 46997
    assert {t.table_name: t.landed for t in landed.summary.tables} == wanted
    for table in wanted:
        assert landed.rows(f'select count(*) from landing."{table}"') == [(wanted[table],)]


def test_sums_by_account_are_those_of_plain_python_to_the_cent(landed, raw):
    wanted: Counter[str] = Counter()
    for row in raw["trans"]:
        sign = 1 if row["type"] == "PRIJEM" else -1
        wanted[row["account_id"]] += sign * Decimal(row["amount"])
    found = landed.rows('select account_id, sum(amount) from landing."transaction" group by 1')
    assert dict(found) == dict(wanted)


def test_kinds_are_counted_as_plain_python_counts_the_codes(landed, raw):
    codes = Counter((row["operation"], row["k_symbol"].strip()) for row in raw["trans"])
    found = dict(landed.rows('select kind, count(*) from landing."transaction" group by 1'))
    assert found["interest_paid"] == codes["", "UROK"]
    assert found["fee"] == codes["VYBER", "SLUZBY"]
    assert found["pension"] == codes["PREVOD Z UCTU", "DUCHOD"]
    assert found["withdrawal"] == codes["VYBER", ""] + codes["VYBER", "SIPO"]
    assert found["transfer_out"] == codes["PREVOD NA UCET", ""] + codes["PREVOD NA UCET", "SIPO"]


def test_birth_dates_and_sexes_are_those_of_plain_python(landed, raw):
    def read(number):
        month = int(number[2:4])
        born = date(1900 + int(number[:2]), month - 50 * (month > 50), int(number[4:]))
        return born, "female" if month > 50 else "male"

    wanted = {row["client_id"]: read(row["birth_number"]) for row in raw["client"]}
    found = landed.rows("select customer_id, birth_date, sex from landing.customer")
    assert len(found) == 1489
    assert all(wanted[customer] == (born, sex) for customer, born, sex in found)


def test_no_landed_row_is_dated_after_the_as_of_date(landed):
    for table, column in (
        ("transaction", "booked_on"),
        ("account", "opened_on"),
        ("customer", "customer_since"),
        ("loan", "granted_on"),
        ("card", "issued_on"),
    ):
        ((latest,),) = landed.rows(f'select max({column}) from landing."{table}"')
        assert latest <= WHOLE.as_of
    ((last,),) = landed.rows('select max(booked_on) from landing."transaction"')
    assert last > WHOLE.as_of - timedelta(days=3)
