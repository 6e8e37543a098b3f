"""A proposed mapping: what it recognises, what it asks, what it never shows."""

from __future__ import annotations

import random
import re
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration.landing.mapping_proposal import MappingRefused, propose_file
from orchestration.platform.settings import Settings
from sources.contract import BY_NAME, FLAG, TABLES
from sources.interface import DeliveryRefused
from sources.mapping.proposal.propose import pattern_of, propose
from sources.mapping.proposal.sniffing import sniff
from sources.mapping.proposal.synonyms import code_of, currency_of, likeness, synonyms
from sources.mapping.reading import read_mapping
from tests.conftest import PROJECT
from tests.mapping_banks import write_core_banking

KNOWN = PROJECT / "tests" / "acceptance" / "known_bank" / "delivery"
CORE = PROJECT / "docs" / "examples" / "mapping" / "core_banking.yml"
HAN = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def core(engine, tmp_path_factory):
    """The proposal for extracts of a core banking system, and its tables."""
    return proposed(engine, write_core_banking(KNOWN, tmp_path_factory.mktemp("core")))


def put(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / f"{name}.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def proposed(engine, folder: Path):
    found = propose(engine, folder)
    return found, yaml.load(found.text, Loader=yaml.BaseLoader)["tables"]


def test_every_table_column_and_code_of_the_contract_has_other_names_in_both_languages():
    assert set(synonyms("tables")) == {table.name for table in TABLES}
    columns = {column.name for table in TABLES for column in table.columns}
    assert set(synonyms("columns")) == columns
    values = {v for table in TABLES for column in table.columns for v in column.values}
    assert {column.type for table in TABLES for column in table.columns} >= {FLAG}
    assert set(synonyms("codes")) == values | {"true", "false"}
    for kind in ("tables", "columns", "codes"):
        for word, others in synonyms(kind).items():
            assert any(HAN.search(other) for other in others), word
            assert any(not HAN.search(other) for other in others) or kind == "codes", word


def test_no_code_names_two_values_of_one_list():
    """`card` is a channel and a kind: only within one column's list a code must be one value."""
    lists = {column.values for table in TABLES for column in table.columns if column.values}
    for allowed in lists:
        for word in allowed:
            for code in (word, *synonyms("codes")[word]):
                assert code_of(code, allowed) == word, (code, word)


@pytest.mark.parametrize(
    ("name", "known", "low", "high"),
    [
        ("AcctNo", "acct no", 1, 1),
        ("ACCT_NO", "acct no", 1, 1),
        ("年利率(%)", "年利率", 1, 1),
        ("所属机构号", "机构号", 0.7, 0.9),
        ("txn_posting_date", "posting date", 0.6, 0.9),
        ("custmer_id", "customer id", 0.6, 0.8),
        ("colour", "currency", 0, 0),
        ("id", "identity", 0, 0),
    ],
)
def test_names_are_alike_whatever_case_and_signs(name, known, low, high):
    assert low <= likeness(name, known) <= high


def test_codes_are_known_by_their_other_names():
    assert code_of("F", ("female", "male")) == "female"
    assert code_of("手机银行", ("online", "mobile")) == "mobile"
    assert code_of("zz", ("online", "mobile")) is None
    assert currency_of("156") == "CNY" and currency_of("eur") == "EUR"


@pytest.mark.parametrize(
    ("content", "encoding", "delimiter", "names"),
    [
        (b"a,b\n1,2\n", "utf-8", ",", ("a", "b")),
        ("\ufeffa;b;c\n1,5;2;3\n".encode(), "utf-8", ";", ("a", "b", "c")),
        ("账号|客户号\n1|2\n".encode("gbk"), "gb18030", "|", ("账号", "客户号")),
        ("a\tb\n1\té\n".encode("utf-16"), "utf-16", "\t", ("a", "b")),
        (b"a|+|b\n1|+|2\n", "utf-8", "|+|", ("a", "b")),
        (b"a,b\n\xe9 x,2\n", "cp1252", ",", ("a", "b")),
        (b'a,b,c\n"x, y",1,2\n"z, w",3,4\n', "utf-8", ",", ("a", "b", "c")),
        (b"1,20240131\n2,20240201\n", "utf-8", ",", ("c1", "c2")),
    ],
)
def test_the_form_of_a_file_is_recognised(tmp_path, content, encoding, delimiter, names):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    found = sniff(path)
    assert (found.encoding, found.delimiter, found.names) == (encoding, delimiter, names)
    assert found.header == (names if names[0] == "c1" else None)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"one column\nonly\n", b"PK\x03\x04\0\0\0"])
def test_a_file_without_columns_has_no_form(tmp_path, content):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    assert sniff(path) is None


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("a.txt", "a.txt"),
        ("a_20240131.txt", "a_{YYYYMMDD}.txt"),
        ("x/a_2024-01.csv", "x/a_{YYYY-MM}.csv"),
        ("202401/a_20240131.txt", "*/a_{YYYYMMDD}.txt"),
        ("a_12345678.txt", "a_12345678.txt"),
    ],
)
def test_months_in_names_become_patterns(path, pattern):
    assert pattern_of(path) == pattern


def test_gbk_extracts_are_recognised_column_by_column(core):
    """Every column of the example's mapping, as a person wrote it."""
    found, tables = core
    wanted = yaml.load(CORE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)["tables"]
    assert tables.keys() == wanted.keys()
    for table, feed in wanted.items():
        for name, given in feed["columns"].items():
            own = tables[table]["columns"][name]
            column = given["column"] if isinstance(given, dict) else given
            assert (own["column"] if isinstance(own, dict) else own) == column, (table, name)
    amount = tables["transaction"]["columns"]["amount"]
    assert amount["direction"] == {"column": "借贷标志", "credit": ["贷"], "debit": ["借"]}
    assert tables["product"]["columns"]["product_line"]["codes"]["储蓄"] == "deposits"
    assert tables["account"]["file"] == "ZHXX_{YYYYMMDD}.txt"
    assert any("Is the encoding gb18030?" in question for question in found.questions)
    assert any("in units, or in cents" in question for question in found.questions)
    assert any("transaction.kind: what do `1001`" in question for question in found.questions)
    assert all(f"# {n}. {text}" in found.text for n, text in enumerate(found.questions, 1))


def test_a_proposal_is_a_mapping_with_a_confidence_for_each_column(core, tmp_path):
    found, tables = core
    path = tmp_path / "mapping.yml"
    path.write_text(found.text, encoding="utf-8")
    assert [str(problem) for problem in read_mapping(path).problems] == []
    for table, feed in tables.items():
        for name in feed["columns"]:
            assert re.search(rf"^      {name}:.*  # \d+%: ", found.text, re.MULTILINE), table


def test_what_cannot_be_known_is_asked(engine, tmp_path):
    folder = put(
        tmp_path / "bank",
        client="ClientID,Born,Gender\n1,03/04/1980,M\n2,05/06/1981,F\n3,07/08/1982,X\n",
        account="AccountNo,ClientID,Product,Opened\n11,1,SAV,240131\n12,2,CUR,240131\n13,3,SAV,240131\n",
        movement="TxnID,AccountNo,Date,MoneyIn,MoneyOut,TxnCode\n1,11,240131,10.00,,A\n2,12,240201,,5.00,B\n",
        parameter="x,y\nq,w\n",
    )
    found, tables = proposed(engine, folder)
    amount = tables["transaction"]["columns"]["amount"]
    assert amount == {"credit": "MoneyIn", "debit": "MoneyOut"}
    assert tables["account_holder"]["columns"]["role"] == {"constant": "owner"}
    assert {row["product_id"] for row in tables["product"]["rows"]} == {"SAV", "CUR"}
    asked = "\n".join(found.questions)
    assert "customer.birth_date: no day is after the 12th. Is it DD/MM/YYYY or MM/DD/YYYY" in asked
    assert "customer.sex: what do `X` mean?" not in asked
    assert "Are the years 1930 to 2029 those of two digits" in asked
    assert "account_holder.role: is every customer of an account its owner?" in asked
    assert "product: no file looks like it. Correct the product_line of each row." in asked
    assert "transaction.kind: what do `A`, `B` mean?" in asked
    assert "parameter.csv: of no table" in asked


def test_codes_are_taken_from_all_rows_of_all_files(engine, tmp_path):
    """One row of a code behind ten thousand of another, in the earliest of forty months."""
    folder = tmp_path / "bank" / "movement"
    folder.mkdir(parents=True)
    head = "TxnID,AccountNo,Date,Amount,TxnCode\n"
    for month in range(40):
        name = f"movement_{2020 + month // 12}{month % 12 + 1:02d}.csv"
        (folder / name).write_text(f"{head}{month},11,2024-01-31,-5.00,fee\n")
    rows = "".join(f"a{n},11,2020-01-31,-5.00,fee\n" for n in range(12_000))
    (folder / "movement_202001.csv").write_text(
        f"{head}{rows}b1,11,2020-01-31,-5.00,ZZ9\nb2,11,2020-01-31,-5.00,\nb3,11,2020-01-31,-5.00,N/A\n"
    )
    found, tables = proposed(engine, folder.parent)
    assert "# ZZ9: ?  (1 rows)" in found.text
    assert tables["transaction"]["columns"]["kind"]["codes"] == {"fee": "fee"}
    asked = "\n".join(found.questions)
    assert "transaction.kind: what do `ZZ9` mean?" in asked
    assert "transaction.kind: 2 of 12,042 rows (0.0%) have no value" in asked


def test_more_codes_than_a_person_would_name_are_counted(engine, tmp_path):
    rows = "".join(f"t{n},11,2024-01-31,-5.00,K{n % 130:03d}\n" for n in range(1_300))
    folder = put(tmp_path / "bank", movement=f"TxnID,AccountNo,Date,Amount,TxnCode\n{rows}")
    found, _ = proposed(engine, folder)
    assert found.text.count(": ?  (10 rows)") == 100
    assert "# 30 other values (300 rows)" in found.text


def test_an_empty_value_is_missing_and_asked_about_where_it_matters(engine, tmp_path):
    """No code of its own; many rows of an optional column, or any of a required one."""
    consent = [
        f"C{n},{'' if n < few else 'Y'},{'' if n < 1 else 'M'}" for n, few in enumerate([10] * 100)
    ]
    folder = put(
        tmp_path / "bank", customer="\n".join(["cust_no,marketing consent,gender", *consent]) + "\n"
    )
    found, tables = proposed(engine, folder)
    assert '"":' not in found.text.split("# Questions:")[0]
    assert tables["customer"]["columns"]["marketing_consent"]["codes"] == {"Y": "true"}
    asked = "\n".join(found.questions)
    assert "customer.marketing_consent: 10 of 100 rows (10.0%) have no value" in asked
    assert 'add the line `"": <value>` under codes' in asked
    assert "customer.sex" not in asked


ACCOUNTS = "acct_no,product,open_date\nA1,P,{}\nA2,P,{}\nA3,P,2024-03-15\n"
BOOKINGS = "txn_id,acct_no,booking_date,amount\nT1,A1,{},-5.00\nT2,A3,2024-04-02,7.00\n"


@pytest.mark.parametrize(
    ("opened", "booked", "asked"),
    [
        (
            ("2024-01-31", "2023-12-30"),
            "2024-02-20",
            "Accounts opened before 2024-02, the first month of the bookings: 2. They need their "
            "balance at the end of 2024-01.",
        ),
        # A booking of ten years ago is an error: the history begins after the pause.
        (
            ("2024-01-31", "2024-02-01"),
            "2014-02-20",
            "Accounts opened before 2024-04, the first month of the bookings: 3. They need their "
            "balance at the end of 2024-03.",
        ),
        (("2024-02-01", "2024-02-29"), "2024-02-20", None),
        (
            ("2024-01-31", "2023-12-30"),
            "02/03/2024",
            "Accounts opened before the first month of the bookings need their balance at the end "
            "of the month before it.",
        ),
    ],
)
def test_opening_balances_without_a_file_are_the_first_question(
    engine, tmp_path, opened, booked, asked
):
    """Counted by account, of all extracts; without figures where a day may be read as two."""
    bookings = BOOKINGS.format(booked)
    if "/" in booked:
        bookings = bookings.replace("2024-04-02", "04/02/2024")
    folder = put(
        tmp_path / "bank",
        account_20240331=ACCOUNTS.format(*opened),
        account_20240430=ACCOUNTS.format(*opened),
        movement=bookings,
    )
    found, _ = proposed(engine, folder)
    about = [one for one in found.questions if one.startswith("account_balance")]
    loss = BY_NAME["account_balance"].without_it
    wanted = f"account_balance: no file looks like it. {asked} Without it: {loss}."
    assert about == ([f"{wanted} Which file has it?"] if asked else [])
    assert found.questions[: len(about)] == about


def test_opening_balances_with_a_file_are_not_asked_about(core):
    assert "account_balance" in core[0].tables
    assert not any(one.startswith("account_balance: no file") for one in core[0].questions)


def test_optional_columns_that_switch_much_off_are_asked_about(engine, core, tmp_path):
    """Each that no column of the file fits, with what follows and how it is added."""
    folder = put(
        tmp_path / "bank",
        customer="cust_no,dob\nC1,1980-01-01\nC2,1980-01-01\n",
        account="acct_no,product,open_date,rate\nA1,P,2024-01-31,2.5\nA2,P,2024-01-31,3.5\n",
    )
    found, _ = proposed(engine, folder)
    asked = {one.split(": no column")[0]: one for one in found.questions if "Without it" in one}
    given_here = {"customer.birth_date", "account.interest_rate"}
    assert (
        set(asked)
        == {
            f"{table}.{column.name}"
            for table in ("customer", "account")
            for column in BY_NAME[table].columns
            if column.without_it
        }
        - given_here
    )
    assert {"customer.employee_id", "customer.marketing_consent"} < set(asked)
    assert {"account.term_months", "account.credit_limit"} < set(asked)
    for place, question in asked.items():
        table, name = place.split(".")
        loss = BY_NAME[table].column(name).without_it
        assert (
            f"Without it: {loss}. If the bank has it, add the line `{name}: <column>`" in question
        )
        assert f"\n      # {name}: ?\n" in found.text
    given = [one for one in core[0].questions if one.startswith("account.term_months: no column")]
    assert given == []


def test_a_proposal_is_in_the_language_of_the_settings(tmp_path):
    """Questions and comments; the keys, and the questions of JSON, stay as they are."""
    folder = write_core_banking(KNOWN, tmp_path / "core")
    settings = Settings(home=tmp_path / "home", source="files", source_path=folder, language="zh")
    place = tmp_path / "mapping.yml"
    found = propose_file(settings, folder, place)
    text = place.read_text()
    assert text.startswith("# 本文件根据数据文件生成：请逐行核对。")
    assert "# 2. 编码是 gb18030 吗？以下文件不是 UTF-8：" in text
    assert "名称相同；其值是 account 的主键" in text
    assert any(question.startswith("Is the encoding gb18030?") for question in found["questions"])
    assert "# 1. 本行记账货币：账户有多个币种（CNY" in text
    assert [str(problem) for problem in read_mapping(place).problems] == []


def test_values_of_customers_are_shown_only_where_many_rows_share_them(engine, tmp_path):
    rows = [
        f"C{n},{'M' if n % 2 else 'F'},Eva Feld {n},1980-01-{n % 28 + 1:02d}" for n in range(60)
    ]
    folder = put(
        tmp_path / "bank",
        customer="\n".join(["cust_no,gender,name,dob", *rows, "C90,Eva Feld,x,1980-01-01"]) + "\n",
    )
    found, tables = proposed(engine, folder)
    assert tables["customer"]["columns"]["sex"]["codes"] == {"F": "female", "M": "male"}
    assert "Feld" not in found.text and "C90" not in found.text


def test_references_are_found_by_their_values(engine, tmp_path):
    """A column of an unknown name whose values are the keys of another file."""
    draw = random.Random(3)
    customers = [f"K{draw.randrange(10**6):06d}" for _ in range(50)]
    days = [date(2020, 1, 1) + timedelta(days=n) for n in range(50)]
    folder = put(
        tmp_path / "bank",
        customer="cust_no,dob\n" + "".join(f"{one},1980-01-01\n" for one in customers),
        account="acct_no,zz9,open_date,prod_code\n"
        + "".join(f"A{n},{one},{days[n]},P\n" for n, one in enumerate(customers)),
        holder="acct_no,zz9,relation\n"
        + "".join(f"A{n},{one},owner\n" for n, one in enumerate(customers)),
    )
    found, tables = proposed(engine, folder)
    assert tables["account_holder"]["columns"]["customer_id"] == "zz9"
    assert "its values are keys of customer" in found.text


def test_serials_of_spreadsheets_and_signs_of_numbers_are_recognised(engine, tmp_path):
    folder = put(
        tmp_path / "bank",
        account="account_no;product;open_date;credit_limit;rate\n"
        + "".join(f"A{n};P;{45000 + n};1.234,50;2,5\n" for n in range(20)),
    )
    _, tables = proposed(engine, folder)
    text = propose(engine, folder).text
    assert "dates: serial" in text and 'decimal: ","' in text and 'thousands: "."' in text
    assert tables["account"]["columns"]["interest_rate"]["unit"] == "percent"


def test_a_proposal_replaces_a_file_only_where_asked(tmp_path):
    folder = put(tmp_path / "bank", customer="cust_no,dob\nC1,1980-01-01\nC2,1980-01-01\n")
    settings = Settings(home=tmp_path / "home", source="files", source_path=folder)
    place = tmp_path / "mapping.yml"
    found = propose_file(settings, folder, place)
    assert found["tables"] == {"customer": "customer.csv"} and place.exists()
    place.write_text("mine")
    with pytest.raises(MappingRefused, match="FORCE=1"):
        propose_file(settings, folder, place)
    assert place.read_text() == "mine"
    propose_file(settings, folder, place, force=True)
    assert place.read_text().startswith("# Proposed from the files")
    with pytest.raises(MappingRefused, match="SOURCE_PATH"):
        propose_file(settings, None, place, force=True)


def test_a_folder_without_files_is_refused(engine, tmp_path):
    with pytest.raises(DeliveryRefused, match="has no file with rows and columns"):
        propose(engine, tmp_path)
    with pytest.raises(DeliveryRefused, match="does not exist"):
        propose(engine, tmp_path / "nowhere")
