"""A further proposal on the mapping that a bank has answered: nothing of it is lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration.cli import main
from orchestration.landing.mapping_proposal import MappingRefused, propose_file
from orchestration.platform.settings import Settings
from sources.mapping.proposal.keeping import read_given
from sources.mapping.proposal.propose import propose
from sources.mapping.reading import read_mapping

# Edited by hand: another column for birth_date, comments, a code of its own, a column left out
# (name of the district), rows for products, an expression, a condition, keys in any order.
ANSWERED = """\
# Agreed with the core banking team on 3 May.
defaults:
  delimiter: ";"   # all of them
tables:
  product:
    rows:
      - {product_id: P1, product_line: deposits}   # the only one
  customer:                                               # 97%
    file: customer.csv
    where: "dead <> 'Y'"   # agreed
    columns:
      customer_id: cust_no                                # 97%: the name is the same; unique
      birth_date: {column: born_on_2, dates: DD.MM.YYYY}
      sex:
        column: gender
        codes:
          "X": female   # our own code
          # "Q": ?  (7 rows)
      # customer_kind: ?

  # Extracts of the old system follow.
  account:
    - file: old_account.csv
      columns: {account_id: acct_no}
    - file: account.csv
      columns: {account_id: acct_no, product_id: {constant: P1}}
# A remark of ours behind the tables.

# Questions:
# 1. customer.sex: what do `Q` mean?
# 2. product: correct it.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    folder.mkdir()
    for name, lines in {
        "customer": [
            "cust_no;born_on;born_on_2;gender;dead;home_district",
            *(f"C{n};01.02.1980;0{n % 9 + 1}.02.1980;{'XQM'[n % 3]};N;D{n}" for n in range(40)),
        ],
        "account": ["acct_no;open_date", *(f"A{n};2020-01-{n % 28 + 1:02d}" for n in range(40))],
        "account_holder": [
            "acct_no;cust_no;relation",
            *(f"A{n};C{n};owner" for n in range(40)),
        ],
    }.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def again(folder, tmp_path) -> tuple[dict, str]:
    settings = Settings(home=tmp_path / "home", source="files", source_path=folder)
    place = tmp_path / "mapping.yml"
    place.write_text(ANSWERED)
    found = propose_file(settings, folder, place, force=True)
    return found, place.read_text()


def test_every_answer_and_comment_of_the_bank_stays(again):
    found, text = again
    before = ANSWERED[: ANSWERED.index("# Questions:")].splitlines()
    kept = [line.split("  # 97%")[0] for line in before if line.strip()]
    lines = [line.split("  # given by the bank")[0] for line in text.splitlines() if line.strip()]
    rest = iter(lines)
    assert [line for line in kept if line not in rest] == []
    given, now = (yaml.load(one, Loader=yaml.BaseLoader) for one in (ANSWERED, text))
    assert now["defaults"] == given["defaults"]
    assert {name: now["tables"][name] for name in ("product", "account")} == {
        name: given["tables"][name] for name in ("product", "account")
    }
    customer = now["tables"]["customer"]
    assert customer["where"] == given["tables"]["customer"]["where"]
    assert customer["columns"].pop("sex")["codes"] == {"X": "female", "M": "male"}
    given["tables"]["customer"]["columns"].pop("sex")
    assert customer["columns"] == given["tables"]["customer"]["columns"]
    assert found["kept"] == ["product", "customer", "account"]
    line = next(one for one in text.splitlines() if "customer_id: cust_no" in one)
    assert line.endswith("  # given by the bank")


def test_what_is_new_is_proposed_and_what_is_gone_is_named(again, tmp_path):
    found, text = again
    now = yaml.load(text, Loader=yaml.BaseLoader)["tables"]
    # A new table in full, with its confidence.
    assert now["account_holder"]["columns"]["customer_id"] == "cust_no"
    # A column that the bank does not read: as a comment, since it may be left out on purpose.
    assert "district_id" not in now["customer"]["columns"]
    assert "      # district_id: home_district" in text
    assert found["vanished"] == ["old_account.csv"]
    asked = "\n".join(found["questions"])
    assert "account: old_account.csv is not among the files any more" in asked
    assert "customer.district_id: home_district of customer.csv looks like it" in asked
    assert "customer.sex: what do `Q` mean?" in asked and "`X`" not in asked
    assert "customer.customer_kind: no column" in asked and "correct it" not in text
    assert text.count("# Questions:") == 1
    faults = [str(one) for one in read_mapping(tmp_path / "mapping.yml").problems]
    # Those of the old extracts, and the bookings that no file has.
    assert [one for one in faults if not re.search("table account|transaction", one)] == []


def test_a_third_proposal_changes_nothing(again, folder, tmp_path):
    found, text = again
    settings = Settings(home=tmp_path / "home", source="files", source_path=folder)
    place = tmp_path / "mapping.yml"
    once = propose_file(settings, folder, place, force=True)
    text = place.read_text()
    assert once["questions"] and "account_holder" in once["kept"]
    assert propose_file(settings, folder, place, force=True) == once
    assert place.read_text() == text


def test_a_required_column_that_was_open_is_proposed_when_a_file_has_it(folder, tmp_path):
    given = "tables:\n  customer:\n    file: customer.csv\n    delimiter: ';'\n    columns:\n"
    open_now = given + "      sex: gender\n      # customer_id: ?\n      # birth_date: ?\n"
    with duckdb.connect() as connection:
        text = propose(connection, folder, given=read_given(open_now)).text
    columns = yaml.load(text, Loader=yaml.BaseLoader)["tables"]["customer"]["columns"]
    assert columns["sex"] == "gender" and columns["customer_id"] == "cust_no"


def test_a_file_that_cannot_be_read_as_a_mapping_is_not_replaced(folder, tmp_path):
    settings = Settings(home=tmp_path / "home", source="files", source_path=folder)
    place = tmp_path / "mapping.yml"
    place.write_text("tables: {customer: [\n")
    with pytest.raises(MappingRefused, match="cannot be read as a mapping"):
        propose_file(settings, folder, place, force=True)
    assert place.read_text() == "tables: {customer: [\n"


CUSTOMER = "cust_no,dob\nC1,1980-01-01\nC2,1980-01-01\n"
ACCOUNT = "acct_no,cust_no,open_date,currency\n"


@pytest.mark.parametrize(
    ("currencies", "expected", "asked"),
    [
        (["156", "156", "840"], "CNY", "accounts are in several (CNY 2, USD 1)"),
        (["EUR", "EUR"], "EUR", None),
        ([], None, "no file names it"),
    ],
)
def test_the_banks_currency_is_asked_for_where_files_show_several_or_none(
    tmp_path, currencies, expected, asked, capsys, monkeypatch
):
    folder = tmp_path / "bank"
    folder.mkdir()
    (folder / "customer.csv").write_text(CUSTOMER)
    if currencies:
        rows = [f"A{n},C1,2020-01-0{n + 1},{one}\n" for n, one in enumerate(currencies)]
        (folder / "account.csv").write_text(ACCOUNT + "".join(rows))
    monkeypatch.setenv("JINGXI_HOME", str(tmp_path / "home"))
    place = tmp_path / "mapping.yml"
    assert main(["map", str(folder), "--to", str(place), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    questions = [one for one in found["questions"] if one.startswith("The bank's currency")]
    assert found["currency"] == expected and bool(questions) == bool(asked)
    assert not asked or (asked in questions[0] and asked in place.read_text())
    assert main(["map", str(folder), "--to", str(tmp_path / "other.yml")]) == 0
    command = capsys.readouterr().out.splitlines()[-1]
    assert command.endswith(f"CURRENCY={expected}") is bool(expected)
    # It is not asked for where the settings have it.
    monkeypatch.setenv("JINGXI_CURRENCY", "CHF")
    assert main(["map", str(folder), "--to", str(place), "--json", "--force"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["currency"] == "CHF"
    assert not [one for one in found["questions"] if one.startswith("The bank's currency")]
    assert "The bank's currency" not in place.read_text()


def test_files_in_simplified_chinese_propose_the_yuan(tmp_path):
    (tmp_path / "KHXX.txt").write_bytes(
        "客户号|出生日期\n1|19800101\n2|19800102\n".encode("gb18030")
    )
    with duckdb.connect() as connection:
        found = propose(connection, tmp_path)
    assert found.currency == "CNY" and "CURRENCY=CNY" in found.text
