"""A mapping read: what it makes of a bank's files, and every problem at once with its cure."""

from __future__ import annotations

import gzip
import re
from copy import deepcopy
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.landing.engine import Window, land
from sources.contract import BY_NAME
from sources.files import DeliveredFiles
from sources.mapping.expressions import ExpressionRefused, parse
from sources.mapping.places import fault_of, matching
from sources.mapping.source import MappedFiles
from sources.message import Message
from tests.deliveries import is_worded

FILES = {
    "cust.txt": "CNO|SEX|BIRTH\nC1|1|19800101\nC2|2|00000000\n",
    "acct.txt": "ACNO|CNO|OPENED|RATE\nA1|C1|20230501|2.5\nA2|C2|20230601|3.25\n",
    "book_202401.txt": "ID|ACNO|DAY|AMT|DC|CODE\n"
    "1|A1|20240110|10000|C|CSH\n2|A1|20240131|3050|D|ATM\n",
    "book_202402.txt": "ID|ACNO|DAY|AMT|DC|CODE\n3|A2|20240210|-500|D|ATM\n4|A2|20240229|1|C|\n",
}
MAPPING = {
    "defaults": {"delimiter": "|", "dates": "YYYYMMDD", "nulls": ["00000000"]},
    "tables": {
        "customer": {
            "file": "cust.txt",
            "columns": {
                "customer_id": "CNO",
                "sex": {"column": "SEX", "codes": {"1": "male", "2": "female"}},
                "birth_date": "BIRTH",
            },
        },
        "account": {
            "file": "acct.txt",
            "columns": {
                "account_id": "ACNO",
                "product_id": {"constant": "P1"},
                "opened_on": "OPENED",
                "interest_rate": {"column": "RATE", "unit": "percent"},
            },
        },
        "account_holder": {
            "file": "acct.txt",
            "columns": {
                "account_id": "ACNO",
                "customer_id": "CNO",
                "role": {"constant": "owner"},
            },
        },
        "product": {"rows": [{"product_id": "P1", "product_line": "deposits"}]},
        "transaction": {
            "file": "book_{YYYYMM}.txt",
            "money": "cents",
            "columns": {
                "transaction_id": "ID",
                "account_id": "ACNO",
                "booked_on": "DAY",
                "amount": {
                    "column": "AMT",
                    "direction": {"column": "DC", "credit": "C", "debit": "D"},
                },
                "kind": {
                    "column": "CODE",
                    "codes": {"CSH": "deposit", "ATM": "withdrawal", "": "other"},
                },
            },
        },
    },
}


class Bank:
    """A delivery and its mapping, to be changed before it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "delivery"
        self.folder.mkdir()
        self.path = folder / "mapping.yml"
        self.connection = duckdb.connect()
        self.mapping = yaml.safe_load(yaml.safe_dump(MAPPING))
        for name, text in FILES.items():
            self.put(name, text)

    def put(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def table(self, name: str) -> dict:
        return self.mapping["tables"][name]

    def column(self, table: str, name: str, /, **keys: object) -> None:
        self.table(table)["columns"][name] = keys

    def source(self, text: str | None = None) -> MappedFiles:
        self.path.write_text(text or yaml.safe_dump(self.mapping, allow_unicode=True))
        return MappedFiles(self.folder, self.path)

    def problems(self, text: str | None = None) -> list[str]:
        found = self.source(text).problems(self.connection)
        # Another language has them, too.
        assert [one for one in found if not is_worded(one)] == []
        return [str(problem) for problem in found]

    def the_problem(self) -> str:
        (problem,) = self.problems()
        return problem

    def notes(self) -> list[str]:
        found = self.source().notes(self.connection)
        assert [note for note in found if not isinstance(note, Message)] == []
        return found

    def rows(self, table: str, *columns: str) -> list[tuple]:
        source = self.source()
        assert [str(problem) for problem in source.problems(self.connection)] == []
        found = []
        for file in source.files(self.connection):
            if file.table == table:
                listed = ", ".join(columns)
                query = f"select {listed} from ({file.relation}) order by _row"
                rows = self.connection.execute(query).fetchall()
                assert file.records == len(rows)
                found += rows
        return found


@pytest.fixture
def bank(tmp_path):
    return Bank(tmp_path)


def test_a_bank_lands_through_its_mapping(bank, tmp_path):
    source = bank.source()
    assert source.problems(bank.connection) == []
    window = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 2, 1), date(2024, 2, 29))
    summary = land(bank.connection, source, window, tmp_path / "landing", b"key")
    assert summary.quarantined == 0
    found = bank.connection.execute(
        "select transaction_id, booked_on::varchar, amount::varchar, kind "
        'from landing."transaction" order by 1'
    ).fetchall()
    assert found == [
        ("1", "2024-01-10", "100.00", "deposit"),
        ("2", "2024-01-31", "-30.50", "withdrawal"),
        # A debit of a negative amount: a reversal.
        ("3", "2024-02-10", "5.00", "withdrawal"),
        ("4", "2024-02-29", "0.01", "other"),
    ]
    assert bank.connection.execute(
        "select sex, birth_date::varchar from landing.customer order by customer_id"
    ).fetchall() == [("male", "1980-01-01"), ("female", None)]
    assert bank.connection.execute(
        "select interest_rate::varchar from landing.account order by account_id"
    ).fetchall() == [("0.025000",), ("0.032500",)]
    paths = bank.connection.execute("select distinct path from meta.input_file order by 1")
    assert [path for (path,) in paths.fetchall()] == [*sorted(FILES), "mapping.yml"]


def test_a_changed_mapping_changes_the_months_whose_rows_it_changes(bank, tmp_path):
    window = Window(date(2024, 1, 1), date(2024, 2, 1), date(2024, 2, 1), date(2024, 2, 29))
    whole = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 2, 1), date(2024, 2, 29))
    before = bank.source()
    land(bank.connection, before, whole, tmp_path / "landing", b"key")
    same = land(bank.connection, bank.source(), window, tmp_path / "landing", b"key")
    assert (same.window, same.changes) == (window, ())
    bank.table("transaction")["columns"]["kind"]["codes"]["CSH"] = "transfer_in"
    after = bank.source()
    assert after.identity == before.identity
    changed = land(bank.connection, after, window, tmp_path / "landing", b"key")
    assert [(one.table, one.month) for one in changed.changes] == [
        ("transaction", date(2024, 1, 1))
    ]
    assert changed.window.month_from == date(2024, 1, 1)


def test_a_code_outside_the_map_goes_to_quarantine_with_its_value(bank, tmp_path):
    bank.put(
        "book_202402.txt",
        "ID|ACNO|DAY|AMT|DC|CODE\n3|A2|20240210|5|X|ATM\n4|A2|20240229|1|C|deposit\n"
        "5|A2|2024-02-29|1|C|CSH\n6|A2|20240229|1|C|CSH\n7|A2|20240228|1|C|CSH\n"
        "8|A2|20240228|1|C|CSH\n",
    )
    source = bank.source()
    assert source.problems(bank.connection) == []
    window = Window(date(2024, 1, 1), date(2024, 1, 1), date(2024, 2, 1), date(2024, 2, 29))
    land(bank.connection, source, window, tmp_path / "landing", b"key")
    found = bank.connection.execute(
        'select file, row_number, rule, column_name, value from quarantine."transaction"'
    ).fetchall()
    assert found == [
        ("book_202402.txt", 1, "type", "amount", "(X) 0.05"),
        # A word of the contract, and no code of the bank's.
        ("book_202402.txt", 2, "allowed_values", "kind", "(not in codes) deposit"),
        ("book_202402.txt", 3, "type", "booked_on", "(not YYYYMMDD) 2024-02-29"),
    ]


def test_a_column_of_codes_without_a_vocabulary_passes_the_others_on(bank):
    bank.column("account", "branch_id", column="CNO", codes={"C1": "B1"})
    assert bank.rows("account", "branch_id") == [("B1",), ("C2",)]


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "big5", "utf-16", "latin-1", "cp1250"])
def test_other_encodings_are_read(bank, encoding):
    words = {"big5": "客戶", "latin-1": "é", "cp1250": "č"}
    word = words.get(encoding, "客户")
    bank.put("cust.txt", f"{word}|SEX|BIRTH\nC{word}|1|\n".encode(encoding))
    bank.table("customer")["encoding"] = encoding
    bank.table("customer")["columns"]["customer_id"] = word
    assert bank.rows("customer", "customer_id", "sex") == [(f"C{word}", "male")]


def test_a_packed_file_of_another_encoding_is_read(bank):
    (bank.folder / "cust.txt").unlink()
    bank.put("cust.txt.gz", gzip.compress("客户|SEX\n张|1\n".encode("gbk")))
    bank.mapping["tables"]["customer"] = {
        "file": "cust.txt.gz",
        "encoding": "gbk",
        "columns": {"customer_id": "客户"},
    }
    assert bank.rows("customer", "customer_id") == [("张",)]


def test_a_broken_byte_is_named_by_its_line(bank):
    lines = [f"C{n}|客户|".encode("gbk") for n in range(200_000)]
    lines[150_000] = b"C|\xff|"
    bank.put("cust.txt", b"CNO|SEX|BIRTH\n" + b"\n".join(lines))
    bank.table("customer")["encoding"] = "gbk"
    problem = bank.the_problem()
    place = len(b"CNO|SEX|BIRTH\n") + sum(len(line) + 1 for line in lines[:150_000]) + 2
    assert problem.startswith(f"cust.txt: is not GBK: line 150002, byte {place}. ")
    assert "gb18030" in problem


def test_other_delimiters_quotes_and_files_without_a_header_are_read(bank):
    bank.put("cust.txt", "C1|+|'a|+|b'\nC2|+|it\"s\n")
    bank.mapping["tables"]["customer"] = {
        "file": "cust.txt",
        "delimiter": "|+|",
        "quote": "'",
        "header": ["no", "job"],
        "columns": {"customer_id": "no", "occupation": "job"},
    }
    assert bank.rows("customer", "customer_id", "occupation") == [("C1", "a|+|b"), ("C2", 'it"s')]
    bank.put("cust.txt", 'C1\x01"a\nC2\x01b"\n')
    bank.mapping["tables"]["customer"] |= {"delimiter": "\\x01", "quote": ""}
    assert bank.rows("customer", "customer_id", "occupation") == [("C1", '"a'), ("C2", 'b"')]


def test_a_malformed_row_of_another_layout_is_numbered(bank):
    bank.put("cust.txt", "C1|+|x\nC2\nC3|+|y\nC4|+|z\n")
    bank.mapping["tables"]["customer"] = {
        "file": "cust.txt",
        "delimiter": "|+|",
        "header": ["no", "job"],
        "columns": {"customer_id": "no", "occupation": "job"},
    }
    assert bank.rows("customer", "_row", "_malformed", "customer_id") == [
        (1, None, "C1"),
        (2, "1 field(s) instead of 2", None),
        (3, None, "C3"),
        (4, None, "C4"),
    ]


def test_parquet_files_with_the_banks_names_are_read(bank):
    (bank.folder / "acct.txt").unlink()
    bank.connection.execute(
        f"""copy (select 'A1' as acno, 'C1' as cno, date '2023-05-01' as opened, 2.5 as rate,
            1234::bigint as lim) to '{bank.folder}/acct.parquet' (format parquet)"""
    )
    bank.table("account")["file"] = bank.table("account_holder")["file"] = "acct.parquet"
    bank.column("account", "credit_limit", column="LIM", unit="cents")
    assert bank.rows("account", "account_id", "opened_on", "interest_rate", "credit_limit") == [
        ("A1", "2023-05-01", "0.025", "12.34")
    ]


def test_floats_and_instants_of_parquet_are_refused(bank):
    (bank.folder / "acct.txt").unlink()
    bank.connection.execute(
        f"""copy (select 'A1' as acno, 'C1' as cno, timestamptz '2023-05-01' as opened,
            1.5::double as lim, 2.5 as rate)
            to '{bank.folder}/acct.parquet' (format parquet)"""
    )
    bank.table("account")["file"] = bank.table("account_holder")["file"] = "acct.parquet"
    bank.column("account", "credit_limit", column="LIM")
    second, first = bank.problems()
    assert "column OPENED: is of type TIMESTAMP WITH TIME ZONE: expected DATE" in first
    assert "column LIM: is of type DOUBLE: expected DECIMAL(18,2)" in second


def test_two_columns_of_amounts_and_other_signs_are_read(bank):
    bank.put(
        "book_202401.txt", "ID;ACNO;DAY;IN;OUT\n1;A1;31.01.24;1.234,50;\n2;A1;30.01.24;;7,00-\n"
    )
    (bank.folder / "book_202402.txt").unlink()
    bank.table("transaction").update(
        delimiter=";", dates=["DD.MM.YY"], earliest_year=1950, decimal=",", thousands=".",
        money="units",
    )  # fmt: skip
    bank.column("transaction", "amount", credit="IN", debit="OUT")
    bank.column("transaction", "kind", constant="other")
    bank.column("transaction", "balance_after", column="IN", negate="true")
    assert bank.rows("transaction", "booked_on", "amount", "balance_after") == [
        ("2024-01-31", "1234.50", "-1234.50"),
        ("2024-01-30", "7.00", None),
    ]


def test_expressions_are_computed_over_the_cleaned_columns(bank):
    bank.put("cust.txt", "CNO|SEX|BIRTH\n C1 |1|19800101\n　C2|2|00000000\nC3|2|1980\n")
    bank.column("customer", "group_id", expression="'G' || right(CNO, 1)")
    bank.column("customer", "occupation", expression="coalesce(BIRTH, 'unknown')")
    bank.column("customer", "household_id", expression="strptime(BIRTH, '%Y%m%d')::date")
    assert bank.rows("customer", "_malformed", "group_id", "occupation", "household_id") == [
        (None, "G1", "19800101", "1980-01-01"),
        (None, "G2", "unknown", None),
        ("the expression of household_id cannot be computed", "G3", "1980", None),
    ]


def test_rows_that_do_not_meet_the_condition_are_counted_and_not_read(bank):
    bank.table("transaction")["where"] = "CODE <> 'ATM'"
    assert bank.rows("transaction", "transaction_id") == [("1",)]
    assert (
        "book_202401.txt: 1 row(s) do not meet `CODE <> 'ATM'` and are not read as transaction"
        in bank.notes()
    )


def test_a_condition_that_cannot_be_computed_does_not_lose_the_row(bank):
    bank.table("transaction")["where"] = "if(ID = '1', CODE::integer = 0, ID <> '4')"
    assert bank.rows("transaction", "transaction_id", "_malformed") == [
        ("1", "the condition (where) cannot be computed"),
        ("2", None),
        ("3", None),
    ]


def test_rows_that_mostly_cannot_be_read_are_refused_with_the_reason(bank):
    bank.table("transaction")["where"] = "CODE::integer = 0"
    problem = bank.problems()[0]
    assert problem == (
        "book_202401.txt: 2 of 2 rows cannot be read: the condition (where) cannot be computed. "
        "Check delimiter, quote, header and expressions in mapping.yml."
    )


def test_columns_of_another_file_are_joined_and_its_lookups_in_turn(bank):
    bank.put("branch.txt", "BR|CITY\n1|North\n2|South\n")
    bank.put("link.txt", "CNO|BR|FROM\nC1|2|20200101\nC1|1|20210101\nC2|2|20200101\n")
    bank.table("customer")["lookups"] = [
        {
            "file": "link.txt",
            "match": {"CNO": "CNO"},
            "take": {"since": "FROM", "city": "CITY_OF"},
            "pick": "min",
            "lookups": [{"file": "branch.txt", "match": {"BR": "BR"}, "take": {"CITY_OF": "CITY"}}],
        }
    ]
    bank.column("customer", "customer_since", column="since")
    bank.column("customer", "occupation", column="city")
    assert bank.rows("customer", "customer_id", "customer_since", "occupation") == [
        ("C1", "2020-01-01", "North"),
        ("C2", "2020-01-01", "South"),
    ]
    del bank.table("customer")["lookups"][0]["pick"]
    assert "1 value(s) of CNO are in several rows. Add pick: min" in bank.the_problem()


def test_the_months_in_the_names_stamp_extracts_and_their_lookups(bank):
    (bank.folder / "cust.txt").unlink()
    for month, since in (("202401", "20230101"), ("202402", "20230202")):
        bank.put(f"{month}/cust.txt", FILES["cust.txt"])
        bank.put(f"{month}/since.txt", f"CNO|FROM\nC1|{since}\n")
    bank.table("customer").update(
        file="{YYYYMM}/cust.txt",
        lookups=[{"file": "{YYYYMM}/since.txt", "match": {"CNO": "CNO"}, "take": {"s": "FROM"}}],
    )
    bank.column("customer", "customer_since", column="s")
    source = bank.source()
    assert source.problems(bank.connection) == []
    found = {
        file.extract_month: bank.connection.execute(
            f"select customer_since from ({file.relation}) order by _row"
        ).fetchall()
        for file in source.files(bank.connection)
        if file.table == "customer"
    }
    assert found == {
        date(2024, 1, 1): [("2023-01-01",), (None,)],
        date(2024, 2, 1): [("2023-02-02",), (None,)],
    }


def test_several_files_feed_one_table(bank):
    bank.put("loan.txt", "LNO|CNO|FROM\nL1|C1|20240101\n")
    accounts = bank.table("account")
    bank.mapping["tables"]["account"] = [
        accounts,
        {
            "file": "loan.txt",
            "columns": {
                "account_id": {"expression": "'L' || LNO"},
                "product_id": {"constant": "P1"},
                "opened_on": "FROM",
            },
        },
    ]
    assert bank.rows("account", "account_id") == [("A1",), ("A2",), ("LL1",)]


def test_an_optional_file_may_be_missing(bank):
    bank.mapping["tables"]["loan"] = {
        "file": "loan.txt",
        "columns": {"loan_id": "L", "account_id": "A", "granted_on": "D"},
    }
    assert bank.the_problem().startswith("loan.txt: is missing. Deliver it, or correct mapping.yml")
    bank.table("loan")["optional"] = "true"
    assert bank.problems() == []
    assert any(note.startswith("no `loan`: loans that no balance shows") for note in bank.notes())


def test_codes_and_words_of_yaml_stay_as_they_are_written(bank):
    bank.put("cust.txt", "CNO|SEX|BIRTH\nC1|01|\nC2|N|\nC3|1e3|\nC4|~|\n")
    text = yaml.safe_dump(bank.mapping, sort_keys=False)
    codes = "codes:\n          '1': male\n          '2': female\n"
    assert codes in text
    own = (
        "codes:\n          01: male\n          N: female\n          1e3: male\n          ~: male\n"
    )
    bank.path.write_text(text.replace(codes, own))
    source = MappedFiles(bank.folder, bank.path)
    assert source.problems(bank.connection) == []
    (file,) = [one for one in source.files(bank.connection) if one.table == "customer"]
    found = bank.connection.execute(f"select sex from ({file.relation}) order by _row").fetchall()
    assert found == [("male",), ("female",), ("male",), ("male",)]


def test_files_and_tables_that_are_not_read_are_noted(bank):
    bank.put("mood.txt", "x\n1\n")
    notes = bank.notes()
    assert "mood.txt: not read, mapping.yml does not name it" in notes
    assert any(note.startswith("no `campaign`") for note in notes)
    assert any(note.startswith("`account` has no `branch_id`") for note in notes)


def test_a_mapping_in_the_contracts_own_words_reads_as_no_mapping_does(tmp_path):
    folder = tmp_path / "delivery"
    folder.mkdir()
    (folder / "product.csv").write_text("product_id,product_line\nP1,deposits\n")
    (folder / "customer.csv").write_text("customer_id,birth_date\nC1,1980-01-01\n")
    names = {"product": ["product_id", "product_line"], "customer": ["customer_id", "birth_date"]}
    path = tmp_path / "mapping.yml"
    path.write_text(
        yaml.safe_dump(
            {
                "tables": {
                    table: {"file": f"{table}.csv", "columns": {name: name for name in columns}}
                    for table, columns in names.items()
                }
            }
        )
    )
    connection = duckdb.connect()

    def read(source):
        return {
            file.table: (file.columns, file.records, file.sha256)
            + tuple(connection.execute(f"select * from ({file.relation})").fetchall())
            for file in source.files(connection)
        }

    mapped = {
        table: (columns, records, sha, *[(row[0], row[1], *row[2:]) for row in rows])
        for table, (columns, records, sha, *rows) in read(MappedFiles(folder, path)).items()
    }
    assert mapped == read(DeliveredFiles(folder))


def test_all_problems_are_listed_at_once_with_place_and_cure(bank):
    tables = bank.mapping["tables"]
    tables["acount"] = tables.pop("account")
    del tables["product"]
    tables["customer"]["columns"]["sex"]["codes"]["2"] = "woman"
    tables["customer"]["colour"] = "red"
    tables["customer"]["columns"]["birth_date"] = {"column": "BIRTH", "dates": "yyyymmdd"}
    tables["customer"]["columns"]["mood"] = "CNO"
    del tables["account_holder"]["columns"]["role"]
    tables["account_holder"]["columns"]["customer_id"] = "CUST"
    tables["transaction"]["columns"]["kind"] = {"column": "CODE", "constant": "fee"}
    tables["transaction"]["columns"]["amount"] = {"expression": "(select 1)"}
    tables["loan"] = {
        "file": "lone.txt",
        "columns": {"loan_id": "L", "account_id": "A", "granted_on": {"constant": "never"}},
    }
    problems = bank.problems()
    wanted = [
        (", table customer: the key `colour` is unknown", "Remove or correct it."),
        (", column birth_date: `yyyymmdd` is no format of dates", "docs/mapping.md"),
        (", column kind: expected exactly one of column, constant, expression", ""),
        ("table acount: is no table of the contract", "Is it account?"),
        ("the required table product is not mapped", "Add tables.product"),
        ("the required table account is not mapped", "Add tables.account"),
        (", table customer, column sex: the code `2` becomes `woman`", "one of `female`, `male`"),
        (", table customer, column mood: is no column of the contract's customer", ""),
        (", table account_holder, column role: a required column is not mapped", "Add the line"),
        (", table loan, column granted_on: the constant `never` does not fit", "DATE"),
        (", column amount: the expression `(select 1)` has a subquery", "one expression"),
        ("lone.txt: is missing", "correct mapping.yml, line"),
        ("acct.txt, column CUST: the column is missing; account_holder.customer_id", "CNO"),
    ]
    for what, cure in wanted:
        assert any(what in one and cure in one for one in problems), (what, problems)
    assert len(problems) == len(wanted), problems
    assert all("line" in one for one in problems if ", table" in one)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: expected the key tables"),
        ("tables: [", "is no YAML"),
        ("tables: {}\ntables: {}\n", "the key `tables` is there twice"),
        ("tables:\n  customer:\n    file: x\n    rows: []\n    columns: {}\n", "x: is missing"),
        ("table: {}\n", "the key `table` is unknown"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(bank, text, words):
    problems = bank.problems(text or " ")
    assert any(words in problem for problem in problems), problems


JUNK = st.sampled_from(["", "x", "1", [], ["x", []], {}, {"x": "y"}, [{}], None, "[", "'"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_part_may_be_anything_and_is_a_problem_or_is_read(bank, data):
    """Whatever stands at a place of the file, reading ends with problems or files, not an error."""
    mapping = yaml.safe_load(yaml.safe_dump(MAPPING))
    for _ in range(data.draw(st.integers(1, 3))):
        node = mapping
        while isinstance(node, dict | list) and node:
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            key = data.draw(st.sampled_from(list(keys)))
            if not isinstance(node[key], dict | list) or data.draw(st.booleans()):
                if data.draw(st.booleans()) or isinstance(node, list):
                    node[key] = deepcopy(data.draw(JUNK))
                else:
                    node[data.draw(st.sampled_from(["junk", "file", "codes", "0"]))] = node.pop(key)
                break
            node = node[key]
    bank.mapping = mapping
    source = bank.source()
    problems = source.problems(bank.connection)
    assert all(str(problem) for problem in problems)
    if not problems:
        assert source.files(bank.connection)


def test_a_mapping_that_does_not_exist_is_named(bank):
    (problem,) = MappedFiles(bank.folder, bank.path / "x.yml").problems(bank.connection)
    assert "does not exist" in problem.what and "JINGXI_MAPPING" in problem.cure


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"column": "AMT", "direction": {"column": "DC", "credit": "C", "debit": "C"}}, "both"),
        ({"credit": "AMT"}, "one of credit and debit is missing"),
        ({"column": "AMT", "decimal": ",", "thousands": ","}, "two different signs"),
        ({"column": "AMT", "dates": "YYYYMMDD"}, "dates has no meaning for DECIMAL(18,2)"),
        ({"column": "AMT", "unit": "pence"}, "`unit`"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(bank, keys, words):
    bank.column("transaction", "amount", **keys)
    problem = bank.the_problem()
    assert words in problem and ", table transaction, column amount" in problem


def test_years_of_two_digits_need_their_century(bank):
    bank.put("cust.txt", "CNO|SEX|BIRTH\nC1|1|800101\n")
    bank.column("customer", "birth_date", column="BIRTH", dates="YYMMDD")
    problem = bank.the_problem()
    assert "column birth_date: its years have two digits. Add earliest_year" in problem


def test_a_file_feeds_a_table_once(bank):
    bank.mapping["tables"]["customer"] = [bank.table("customer"), bank.table("customer")]
    assert bank.the_problem().startswith("cust.txt: feeds the table customer twice")


def test_a_wrong_delimiter_is_named_with_the_line_to_add(bank):
    bank.put("cust.txt", FILES["cust.txt"].replace("|", ";"))
    assert bank.the_problem() == (
        'cust.txt: is not delimited by `|`. Add delimiter: ";" to mapping.yml.'
    )


def test_codes_that_are_mostly_unmapped_are_refused_with_the_line_to_add(bank):
    bank.table("transaction")["columns"]["kind"]["codes"] = {"": "other"}
    problem = bank.the_problem()
    assert "2 of 2 values are not allowed: `ATM` (1 row); `CSH` (1 row)" in problem
    assert "Add each code to tables.transaction.columns.kind.codes in mapping.yml" in problem
    assert problem.endswith('\n    "ATM": <value>\n    "CSH": <value>')


def test_all_codes_of_a_file_are_listed_by_their_rows_with_a_line_for_each(bank):
    """A code beyond the first rows, too, and one that the contract would take by chance."""
    bank.table("transaction")["columns"]["kind"]["codes"] = {"": "other"}
    codes = [f"C{n % 30:02d}" for n in range(11_000)] + ["Q9"] * 3 + ["fee"]
    rows = "".join(f"{n}|A1|20240110|10000|C|{code}\n" for n, code in enumerate(codes))
    bank.put("book_202401.txt", "ID|ACNO|DAY|AMT|DC|CODE\n" + rows)
    problem = bank.the_problem()
    assert "11,004 of 11,004 values are not allowed: `C00` (367 rows); `C01` (367 rows)" in problem
    assert "`Q9` (3 rows); `(not in codes) fee` (1 row)" in problem
    lines = re.findall(r'^    "(.+)": (.+)$', problem, re.MULTILINE)
    assert len(lines) == 32 and lines[0] == ("C00", "<value>")
    assert lines[-2:] == [("Q9", "<value>"), ("fee", "fee")]


def test_codes_that_are_all_left_open_are_no_fault_of_the_mapping(bank):
    """`codes:` with comments alone, as a proposal has it: no value lands by it."""
    bank.table("transaction")["columns"]["kind"]["codes"] = ""
    assert bank.the_problem().startswith("book_202401.txt, column kind: 3 of 3 values in 2")


def test_values_in_another_format_are_refused_with_the_key_to_correct(bank):
    bank.mapping["defaults"]["dates"] = "DD.MM.YYYY"
    problems = bank.problems()
    places = ["account.columns.opened_on", "customer.columns.birth_date"]
    places.append("transaction.columns.booked_on")
    assert len(problems) == 3
    for place, problem in zip(places, problems, strict=True):
        assert f"Correct its column or dates at tables.{place} in mapping.yml" in problem


def test_an_expression_that_the_engine_refuses_is_named(bank):
    bank.column("account", "term_months", expression="RATE * 2")
    problem = bank.the_problem()
    assert "column term_months: the expression cannot be computed" in problem
    assert "try_cast" in problem


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a || 'x'",
        "case when a in ('1', '2') then b else coalesce(c, 'd') end",
        "a[3:4]::integer + 1",
        "nullif(trim(a), '') is not null and not (b like 'x%' or c between '1' and '2')",
        "regexp_extract(a, '([0-9]+)', 1)",
        "strftime(try_strptime(a, '%d%m%y') + interval 1 day, '%Y-%m-%d')",
        '"列 1" || 列',
        "a -- a remark",
        "try_cast(a as decimal(18, 2)) / 100",
        "if(a = '1', b, c)",
    ],
)
def test_scalar_expressions_are_allowed_and_mean_the_same_after_parsing(text):
    with duckdb.connect() as connection:
        expression = parse(connection, text)
        rows = """(values ('12x45', '1', '3', '甲', '乙'), ('010124', null, 'x1', null, ''),
            ('1', 'x9', '2', 'y', 'z')) as own(a, b, c, "列 1", 列)"""
        written, read = (
            connection.execute(f"select try({one}\n) from {rows}").fetchall()
            for one in (text, expression.sql)
        )
    assert written == read
    assert set(expression.columns) <= {"a", "b", "c", "列 1", "列"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(select 1)", "a subquery"),
        ("a in (select b)", "a subquery"),
        ("exists (from 'x.csv')", "a subquery"),
        ("read_text('/etc/passwd')", "the function read_text"),
        ("getenv('HOME')", "the function getenv"),
        ("current_setting('temp_directory')", "the function current_setting"),
        ("getvariable('landing_token_key')", "the function getvariable"),
        ("now()", "the function now"),
        ("random()", "the function random"),
        ("count(*)", "the function count_star"),
        ("sum(a)", "the function sum"),
        ("row_number() over ()", "a window function"),
        ("main.upper(a)", "the function upper"),
        ("t.a", "the qualified name t.a"),
        ("*", "a star"),
        ("columns('x')", "a star"),
        ("$1", "a parameter"),
        ("list_transform([1], x -> x + 1)", "the function list_transform"),
        ("a, b", "is more than one expression"),
        ("a as x", "is more than one expression"),
        ("a from 'x.csv'", "is more than one expression"),
        ("a where true", "is more than one expression"),
        ("a limit 1", "is more than one expression"),
        ("distinct a", "is more than one expression"),
        ("a; drop table x", "cannot be parsed"),
        ("a; select 1", "is more than one expression"),
        ("a) from (select 1", "cannot be parsed"),
        ("a /* ", "cannot be parsed"),
        ("", "cannot be parsed"),
    ],
)
def test_everything_else_is_refused(text, words):
    with duckdb.connect() as connection, pytest.raises(ExpressionRefused) as refused:
        parse(connection, text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "path", "month"),
    [
        ("a.txt", "a.txt", None),
        ("A.TXT", "a.txt", None),
        ("x", "x/y/a.txt", None),
        ("x/*.txt", "x/a.txt", None),
        ("**/a.txt", "x/y/a.txt", None),
        ("**/a.txt", "a.txt", None),
        ("a_{YYYYMM}.txt", "a_202402.txt", date(2024, 2, 1)),
        ("a_{YYYYMMDD}*", "a_20240229_1.txt", date(2024, 2, 1)),
        ("{YYYY-MM}/a?.txt", "2024-02/a1.txt", date(2024, 2, 1)),
    ],
)
def test_patterns_name_files_and_months(pattern, path, month):
    assert fault_of(pattern) is None
    assert matching(pattern, [path]) == {path: month}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a.txt", "b/a.txt"),
        ("x/*.txt", "x/y/a.txt"),
        ("a_{YYYYMM}.txt", "a_202413.txt"),
        ("a.txt", "aXtxt"),
        ("a", "ab"),
    ],
)
def test_patterns_name_nothing_else(pattern, path):
    assert matching(pattern, [path]) == {}


def test_patterns_that_lead_out_or_have_no_month_are_refused():
    assert "leads out" in fault_of("../x")
    assert "leads out" in fault_of("/etc/passwd")
    assert "expected one of {YYYYMM}" in fault_of("a_{YYMM}.txt")


def test_berka_maps_only_what_the_contract_has():
    """The mapping that is shipped has no problem of its own."""
    from sources.berka import MAPPING as SHIPPED
    from sources.mapping.reading import read_mapping

    draft = read_mapping(SHIPPED)
    assert draft.problems == []
    assert set(draft.feeds) <= set(BY_NAME)
