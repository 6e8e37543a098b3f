"""The contract's page states the contract, and the contract describes each column."""

import duckdb
import pytest

from orchestration.landing.contract_page import PAGE, contract_page, unit_of
from orchestration.landing.rules import code
from sources.contract import BOOKING_KINDS, PRODUCT_LINES, TABLES, TEXT

COLUMNS = [(table.name, column) for table in TABLES for column in table.columns]


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == contract_page(), (
        "run: python -m orchestration.landing.contract_page"
    )


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
