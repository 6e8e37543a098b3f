"""A bank whose figures are known beforehand: worked by hand, compared to the cent.

`known_bank/delivery` is what the bank delivers, `known_bank/reference` its own reference data, and
`known_bank/answers.csv` the figures, each with the sum that gives it. The rules were applied by
hand to the delivery; nothing of the project was run for them.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.landing.switched_off import switched_off
from tests.acceptance.conftest import KNOWN

pytestmark = pytest.mark.slow

KEYS = {
    "value.account_month": "account_id",
    "value.profit_by_branch": "branch_id",
    "decisions.manager_kpi": "employee_id || ' / ' || measure",
    "value.profit_by_vintage": "business || ' / ' || opened_year",
    "value.profit_pro_forma": "dimension || ' / ' || dimension_key",
    "value.profit_by_channel": "channel",
    "value.profit_by_employee": "role || ' / ' || employee_id",
    "value.residual": "residual || ' / ' || branch_id || ' / ' || product_line",
    "value.reconciliation": "dimension || ' / ' || dimension_key || ' / ' || measure",
    "value.plan_actual": "dimension_key",
    "value.customer_rate": (
        "product_line || if(has_term, ' with a term', ' without a term')"
        " || if(curve_currency = '*', '', ', ' || curve_currency)"
    ),
    # As of the last month; the same for all tiers, none of which has enough account months.
    "decisions.price_floor": "product_id",
}


def answers() -> list[dict[str, str]]:
    with (KNOWN / "answers.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def release(known_bank: Path) -> Path:
    return known_bank / "published" / "current.duckdb"


def test_every_figure_is_the_one_worked_by_hand(release):
    wrong = []
    with duckdb.connect(str(release), read_only=True) as connection:
        for row in answers():
            month = [f"{row['month']}-01"] if row["month"] else []
            found = connection.execute(
                f"select distinct {row['measure']} from {row['table']} "
                f"where {KEYS[row['table']]} = ? {'and month = ?' if month else ''}",
                [row["key"], *month],
            ).fetchall()
            if found != [(Decimal(row["amount"]),)]:
                wrong.append((row["key"], row["month"], row["measure"], found, row["how"]))
    assert wrong == []


def test_every_statement_reconciles(release):
    with duckdb.connect(str(release), read_only=True) as connection:
        differing = connection.execute(
            "select count(*), count(*) filter (difference <> 0), "
            "count(*) filter (abs(difference) > tolerance) from value.reconciliation"
        ).fetchall()
    # One line of the ledger is a cent off, within its tolerance.
    ((statements, off, beyond),) = differing
    assert statements > 100 and (off, beyond) == (1, 0)


def test_what_the_bank_does_not_get_is_named_by_what_it_did_not_deliver(release):
    with duckdb.connect(str(release), read_only=True) as connection:
        found = [row["names"] for row in switched_off(connection)]
    tables = [[name for name in names if "." not in name] for names in found]
    assert [names for names in tables if names] == [
        ["campaign", "contact", "response"],
        *(["district"], ["interaction"], ["card"], ["standing_order"], ["employee"]),
    ]
