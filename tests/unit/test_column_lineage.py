"""Column lineage: what a column is computed from, by hand."""

from __future__ import annotations

import dagster as dg
import pytest
from sqlglot.errors import SqlglotError
from sqlglot.schema import MappingSchema

from orchestration.platform.column_lineage import column_origins, lineage_of

SCHEMA = MappingSchema(
    {
        "base": {
            "account": {"account_id": "varchar", "branch_id": "varchar", "balance": "decimal"},
            "branch": {"branch_id": "varchar", "branch_name": "varchar"},
        }
    },
    dialect="duckdb",
)


def origins(sql: str) -> dict[str, set[str]]:
    return {
        name: {".".join(one) for one in found}
        for name, found in column_origins(sql, SCHEMA).items()
    }


def test_a_column_passes_through_queries_stars_and_unions():
    sql = """
        with owed as (select *, -balance as owed from base.account),
        both_sides as (
            select account_id, owed as amount from owed
            union all
            select branch_name, 0 from base.branch
        )
        select * from both_sides
    """
    assert origins(sql) == {
        "account_id": {"base.account.account_id", "base.branch.branch_name"},
        "amount": {"base.account.balance"},
    }


def test_columns_that_only_filter_join_or_count_are_no_origin():
    sql = """
        select branch.branch_name, count(*) as accounts, sum(account.balance) as balance
        from base.account as account
        inner join base.branch as branch on account.branch_id = branch.branch_id
        where account.account_id > 'A'
        group by branch.branch_name
    """
    assert origins(sql) == {
        "branch_name": {"base.branch.branch_name"},
        "accounts": set(),
        "balance": {"base.account.balance"},
    }


def test_subqueries_and_windows_count():
    sql = """
        select
            account_id,
            (select max(branch_name) from base.branch) as last_branch,
            sum(balance) over (partition by branch_id) as balance
        from base.account
    """
    assert origins(sql) == {
        "account_id": {"base.account.account_id"},
        "last_branch": {"base.branch.branch_name"},
        "balance": {"base.account.balance", "base.account.branch_id"},
    }


def test_a_table_without_declared_columns_is_an_origin_too():
    assert origins("select cast(amount as decimal) as amount from landing.ledger") == {
        "amount": {"landing.ledger.amount"}
    }


def test_a_recursive_query_ends():
    sql = """
        with recursive step as (
            select balance as n from base.account union all select n + 1 from step where n < 9
        )
        select n from step
    """
    assert origins(sql) == {"n": {"base.account.balance"}}


def test_dagster_shows_the_columns_that_have_an_origin():
    sql = "select account_id as id, 1 as one from base.account"
    expected = [dg.TableColumnDep(dg.AssetKey(["base", "account"]), "account_id")]
    assert lineage_of(sql, SCHEMA).deps_by_column == {"id": expected}


def test_a_text_that_is_no_query_is_refused():
    with pytest.raises(SqlglotError):
        column_origins("select from where", SCHEMA)
