"""The vocabulary is read, refused where it is wrong, and what is written from it is current."""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from orchestration.platform import vocabulary as written_by
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.vocabulary import COMMAND, written, yml_text
from sources import vocabulary
from sources.vocabulary import (
    FOLDER,
    BookingGroup,
    BookingKind,
    Channel,
    OutcomeWindow,
    ProductLine,
    ResultItem,
    VocabularyError,
    read_rows,
)

ROWS = {
    "product_line": ProductLine,
    "channel": Channel,
    "booking_group": BookingGroup,
    "booking_kind": BookingKind,
    "outcome_window": OutcomeWindow,
    "result_item": ResultItem,
}
CHANNELS = "channel,bookings,label,is_by_hand\n"


def test_files_generated_from_the_vocabulary_are_current():
    for path, text in written().items():
        assert path.read_text(encoding="utf-8") == text, f"run: {COMMAND}"


def test_each_seed_declares_the_fields_of_its_rows():
    declared = {
        seed["name"]: seed for seed in yaml.safe_load((FOLDER / "seeds.yml").read_text())["seeds"]
    }
    assert set(declared) == set(ROWS) == {path.stem for path in FOLDER.glob("*.csv")}
    for name, row in ROWS.items():
        columns = [field.name for field in fields(row)]
        assert list(declared[name]["config"]["column_types"]) == columns
        assert [column["name"] for column in declared[name]["columns"]] == columns
        with (FOLDER / f"{name}.csv").open(encoding="utf-8") as lines:
            assert next(csv.reader(lines)) == columns


def test_lines_have_the_signs_that_their_rows_give():
    lending = next(line for line in vocabulary.PRODUCT_LINES if line.product_line == "lending")
    assert lending.signs == {"loan_payout": -1, "loan_repayment": 1}
    assert vocabulary.lines_where("is_credit") == ("lending", "cards")
    assert vocabulary.days_of("response") == 60


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("channel,bookings\n", "expected the columns channel, bookings, label, is_by_hand"),
        (CHANNELS + "Branch,at a branch,x,true\n", "line 2 is invalid: expected a channel of"),
        (CHANNELS + "atm,a,a,true\natm,a,a,true\n", "line 3 is invalid: expected a channel of"),
        (CHANNELS + "atm,a,a,yes\n", "is_by_hand is invalid: expected true or false"),
        (CHANNELS + "atm,,a,true\n", "bookings is invalid: expected a value"),
        (CHANNELS + "atm,a,a\n", "is_by_hand is invalid: expected a value"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(tmp_path: Path, rows: str, problem: str):
    (tmp_path / "channel.csv").write_text(rows)
    with pytest.raises(VocabularyError, match=r"channel\.csv") as refused:
        read_rows(tmp_path / "channel.csv", Channel)
    assert problem in str(refused.value)


def test_a_number_of_days_is_a_number(tmp_path: Path):
    (tmp_path / "outcome_window.csv").write_text("outcome_window,days\nresponse,sixty\n")
    with pytest.raises(VocabularyError, match="expected a number, found `sixty`"):
        read_rows(tmp_path / "outcome_window.csv", OutcomeWindow)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("price", "free", "expected a price of"),
        ("other_signs", "loan:credit", "found `loan:credit`"),
        ("other_signs", "fee:plus", "found `fee:plus`"),
    ],
)
def test_a_line_with_an_unknown_reference_is_refused(
    monkeypatch, field: str, value: str, problem: str
):
    from dataclasses import replace

    first = replace(vocabulary.PRODUCT_LINES[0], **{field: value})
    monkeypatch.setattr(vocabulary, "PRODUCT_LINES", (first,))
    with pytest.raises(VocabularyError, match=problem):
        vocabulary.check_references()


def test_a_feature_that_the_contract_does_not_pass_on_is_refused(tmp_path: Path, monkeypatch):
    column = {"name": "sex", "data_type": "varchar", "config": {"meta": {"attribute": True}}}
    (tmp_path / "features.yml").write_text(yaml.safe_dump({"models": [{"columns": [column]}]}))
    monkeypatch.setattr(written_by, "FEATURES", tmp_path / "features.yml")
    with pytest.raises(VocabularyError, match="expected attributes of the customer, found sex"):
        written_by.feature_attributes()


def test_only_the_columns_below_a_template_are_rewritten():
    text = (
        "columns:\n"
        "  - name: before\n"
        "  # template:\n"
        "  # {% for line in product_lines if line.is_invested %}\n"
        "  # - name: balance_{{ line.product_line }}\n"
        "  #   data_type: integer\n"
        '  #   description: "{{ line.accounts }} accounts, the customer\'s share"\n'
        "  #   config: {tags: [personal]}\n"
        "  # {% endfor %}\n"
        f"  # columns, written by `{COMMAND}`:\n"
        "  - name: stale\n"
        "  # end of columns\n"
        "  - name: after\n"
    )
    assert yml_text(text) == text.replace(
        "  - name: stale\n",
        "  - name: balance_wealth\n"
        "    data_type: integer\n"
        '    description: "wealth accounts, the customer\'s share"\n'
        "    config: {tags: [personal]}\n",
    )
    assert yml_text(yml_text(text)) == yml_text(text)


def test_every_template_has_its_columns():
    """A mark that is misspelt would leave columns as they are."""
    for path in (DBT_PROJECT / "models").rglob("*.yml"):
        text = path.read_text(encoding="utf-8")
        marks = [text.count(mark) for mark in ("# template:", "# columns, written", "# end of co")]
        assert len(set(marks)) == 1, path
