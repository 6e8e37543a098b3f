"""The contract's pages state the contract, and the contract describes each column."""

import re

import duckdb
import pytest

from orchestration.landing.contract_page import PAGES, contract_page, contract_words, unit_of
from orchestration.landing.rules import code
from reports.words import translations
from sources.contract import BOOKING_KINDS, BY_NAME, PRODUCT_LINES, TABLES, TEXT
from sources.mapping.proposal.synonyms import likeness, synonyms

CHINESE = translations("zh").gettext
# What no language translates: code, the target of a link, a figure of three digits or more.
KEPT = re.compile(r"`[^`]+`|\]\([^)]+\)|(?<![\d.])\d[\d,.]*\d\d(?!\d)")
NAMES = {
    *("Windows", "BOM", "Parquet", "Spark", "DuckDB", "make", "gzip"),
    *BY_NAME,
    *(column.name for table in TABLES for column in table.columns),
    *(value for table in TABLES for column in table.columns for value in column.values),
    *PRODUCT_LINES,
    # Words of the bank's own that a meaning gives as examples, and measures.
    *("relationship_manager", "branch_manager", "seller", "manager", "specialist", "debit"),
    *("credit", "rent", "household", "insurance", "fee_income", "direct_cost", "expected_loss"),
    *("true", "false"),
}

COLUMNS = [(table.name, column) for table in TABLES for column in table.columns]


@pytest.mark.parametrize("language", PAGES)
def test_the_page_is_current(language):
    assert PAGES[language].read_text(encoding="utf-8") == contract_page(language), (
        "run: python -m orchestration.landing.contract_page"
    )


def test_a_translation_keeps_code_links_and_figures():
    changed = {
        words
        for words in contract_words()
        if sorted(KEPT.findall(words)) != sorted(KEPT.findall(CHINESE(words)))
    }
    assert changed == set()


def test_the_chinese_page_has_no_english_but_names():
    page = re.sub(r"```.*?```", "", contract_page("zh"), flags=re.DOTALL)
    words = set(re.findall(r"(?<![A-Za-z_])[A-Za-z_]*[a-z][A-Za-z_]+", KEPT.sub("", page)))
    assert words - NAMES == set()


def test_the_pages_have_the_same_tables_columns_kinds_and_rules():
    def codes(page: str) -> list[str]:
        return re.findall(r"^(?:### \w+|\| `\w+`\*?)", page, re.MULTILINE)

    english, chinese = codes(contract_page()), codes(contract_page("zh"))
    assert len(english) > 150
    assert [one for one in english if one[0] == "|"] == [one for one in chinese if one[0] == "|"]
    headings = [f"### {table.name}" for table in TABLES]
    assert [one for one in chinese if one[0] == "#"][: len(headings)] == headings


def test_a_proposed_mapping_knows_the_chinese_name_of_every_table_and_column():
    named = [("columns", column.name, CHINESE(column.name)) for _, column in COLUMNS]
    named += [("tables", table.name, CHINESE(f"table {table.name}")) for table in TABLES]
    unknown = [
        (code_name, name)
        for kind, code_name, name in named
        if max(likeness(name, known) for known in synonyms(kind)[code_name]) < 1
    ]
    assert unknown == []


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda part: getattr(part, "name", part))
def test_every_column_has_a_meaning_a_unit_a_sign_and_an_example_that_lands(table, column):
    assert column.meaning
    assert unit_of(column)
    assert bool(column.shown_sign) == column.is_number
    if column.values:
        assert column.example in column.values
    ((landed,),) = duckdb.execute(
        f"select try_cast(? as {column.type})", [column.example]
    ).fetchall()
    assert landed is not None
    for sign, limit in (("<", column.low), (">", column.high)):
        if limit is not None and "_" not in limit:
            query = f"select ?::{column.type} {sign} {limit}"
            assert duckdb.execute(query, [column.example]).fetchall() == [(False,)]
    if column.form is not None and column.type == TEXT:
        query = f"select regexp_full_match({code('?')}, ?)"
        assert duckdb.execute(query, [column.example, column.form]).fetchall() == [(True,)]


def test_every_kind_has_a_meaning_and_names_lines_that_exist():
    for kind in BOOKING_KINDS:
        assert kind.meaning
        assert set(kind.on) <= set(PRODUCT_LINES)
