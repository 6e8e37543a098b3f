"""A product line is a row; an attribute that becomes a feature is named in two places.

Both are added to a copy of the project, whose bank is then built through to features.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.conftest import PROJECT, once

COPIED = (
    *("dbt_project", "docs", "expectations", "ml", "orchestration", "reports", "sources"),
    "tests",
)
GENERATORS = ("orchestration.platform.vocabulary", "orchestration.landing.contract_page")
LINE = (
    "mortgages,mortgage,mortgages,true,true,false,false,false,false,loan_rate,"
    "loan_payout:debit loan_repayment:credit\n"
)
SEED = "dbt_project/seeds/vocabulary/product_line.csv"
CONTRACT = "sources/contract.py"
FEATURES = "dbt_project/models/features/features_customer_month.yml"
ATTRIBUTE = """            Column(
                "loyalty_tier",
                TEXT,
                "the bank's own word",
                example="gold",
                attribute="tier of the loyalty programme",
            ),
"""
FEATURE = """      - name: loyalty_tier
        data_type: varchar
        description: "tier of the loyalty programme, the version valid then"
        config: {tags: [personal], meta: {attribute: true}}
"""
# What the generators write when a line is added, and when an attribute is.
WRITTEN_FOR_A_LINE = {
    "dbt_project/macros/vocabulary.sql",
    "dbt_project/models/base/base_customer.yml",
    "dbt_project/models/base/base_customer_month.yml",
    "dbt_project/models/base/base_household.yml",
    "dbt_project/models/features/features_customer_month.yml",
    "docs/contract.md",
    "docs/contract.zh.md",
}
WRITTEN_FOR_AN_ATTRIBUTE = {
    "dbt_project/macros/vocabulary.sql",
    "dbt_project/models/base/base_customer.yml",
    "dbt_project/models/base/base_customer_history.yml",
    "dbt_project/models/staging/stg_customer.yml",
    "docs/contract.md",
    "docs/contract.zh.md",
}


def texts(project: Path) -> dict[str, str]:
    """File → its text, of all files that may name lines or attributes."""
    return {
        str(path.relative_to(project)): path.read_text(encoding="utf-8")
        for folder in COPIED
        for path in (project / folder).rglob("*")
        if path.suffix in {".csv", ".md", ".py", ".sql", ".yml"}
    }


def run(project: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def written(project: Path) -> set[str]:
    """Run the generators in a project; the files that they changed."""
    before = texts(project)
    for module in GENERATORS:
        run(project, module)
    after = texts(project)
    assert set(after) == set(before)
    return {file for file in after if after[file] != before[file]}


def insert(path: Path, text: str, before: str) -> None:
    old = path.read_text(encoding="utf-8")
    assert old.count(before) == 1, before
    path.write_text(old.replace(before, text + before), encoding="utf-8")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of a copy of the project with one line and one attribute more."""

    def make(folder: Path) -> None:
        project = folder / "project"
        for name in COPIED:
            left = shutil.ignore_patterns("target", "logs", "__pycache__")
            shutil.copytree(PROJECT / name, project / name, ignore=left)
        assert written(project) == set()
        with (project / SEED).open("a", encoding="utf-8") as rows:
            rows.write(LINE)
        assert written(project) == WRITTEN_FOR_A_LINE
        insert(
            project / CONTRACT, ATTRIBUTE, '            Column(\n                "household_id",\n'
        )
        insert(project / FEATURES, FEATURE, "      - name: household_size\n")
        assert written(project) == WRITTEN_FOR_AN_ATTRIBUTE
        run(project, "tests.integration.grown_bank", str(folder))

    return once(tmp_path_factory, "grown", make) / "warehouse.duckdb"


@pytest.fixture
def warehouse(grown: Path):
    with duckdb.connect(str(grown), read_only=True) as connection:
        yield connection


def columns_of(warehouse: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [row[0] for row in warehouse.execute(f"describe {table}").fetchall()]


def test_a_line_that_is_a_row_has_its_columns_and_its_profit(warehouse):
    assert "balance_mortgages" in columns_of(warehouse, "base.household")
    ((held, owned),) = warehouse.execute(
        "select sum(accounts_mortgages), sum(balance_mortgages) from base.customer"
    ).fetchall()
    ((open_accounts, balance),) = warehouse.execute(
        "select count(distinct account_month.account_id), sum(closing_balance) "
        "from base.account_month "
        "where product_line = 'mortgages' and is_open "
        "and month = (select max(month) from base.account_month)"
    ).fetchall()
    # Accounts held jointly count for each of their owners, balances once.
    assert 0 < open_accounts <= held
    assert owned == balance != 0
    ((months, margin),) = warehouse.execute(
        "select count(*), sum(contribution_margin) from value.profit_by_line "
        "where product_line = 'mortgages'"
    ).fetchall()
    assert months > 0 and margin
    feature = "accounts_{0}, average_{0}_12m, opened_{0}_12m, contribution_{0}_12m"
    ((accounts, average, opened, contribution),) = warehouse.execute(
        f"select {', '.join(f'sum(abs({one}))' for one in feature.format('mortgages').split(', '))}"
        " from features.customer_month"
    ).fetchall()
    assert accounts > 0 and average > 0 and opened > 0 and contribution > 0


def test_a_line_without_reference_data_of_its_own_takes_those_of_all_lines(warehouse):
    own, default = (
        warehouse.execute(
            "select distinct maintenance_cost, loss_given_default, capital_weight, transfer_price "
            "from value.product_parameter where product_line = ? and month = date '2024-05-01'",
            [line],
        ).fetchall()
        for line in ("mortgages", "wealth")
    )
    ((cost, loss, capital, price),) = own
    assert (float(cost), float(loss), float(capital)) == (0.4, 0.6, 0.08)
    assert price > 0
    assert default != own


def test_an_attribute_named_in_contract_and_features_is_a_feature(warehouse):
    for table, before in {
        "base.customer": "group_id",
        "base.customer_history": "group_id",
        "features.customer_month": "monthly_income",
    }.items():
        names = columns_of(warehouse, table)
        assert names.index("loyalty_tier") == names.index(before) + 1
    found = warehouse.execute(
        "select feature.loyalty_tier, count(*) "
        "from features.customer_month as feature "
        "inner join base.customer_history as history "
        "on feature.customer_id = history.customer_id "
        "and last_day(feature.month) >= history.valid_from "
        "and (history.valid_to is null or last_day(feature.month) < history.valid_to) "
        "where feature.loyalty_tier = history.loyalty_tier group by all order by all"
    ).fetchall()
    assert [value for value, _ in found] == ["loyalty_tier 0", "loyalty_tier 1"]
    ((rows,),) = warehouse.execute("select count(*) from features.customer_month").fetchall()
    assert sum(count for _, count in found) == rows
