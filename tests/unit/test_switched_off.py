"""What is not delivered is named with what follows, what a bank gains most from first."""

from collections import Counter

import duckdb
import pytest

from orchestration.landing.switched_off import switched_off, undelivered
from sources.contract import GAINS, TABLES, WANTED, loss_of


def counted(*rows: tuple[str, bool, int, str | None]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create schema profile")
    connection.execute(
        "create table profile.landing_table "
        "(table_name varchar, required boolean, rows bigint, lacking varchar)"
    )
    connection.executemany("insert into profile.landing_table values (?, ?, ?, ?)", list(rows))
    return connection


def test_the_order_has_each_table_and_column_with_a_loss_once():
    named = Counter(name for together in GAINS for name in together)
    losses = {table.name for table in TABLES if table.without_it} | {
        f"{table}.{name}" for table, names in WANTED.items() for name in names
    }
    assert named == Counter(losses)


def test_what_is_gained_most_from_comes_first_and_what_serves_together_stands_together():
    connection = counted(
        ("card", False, 0, None),
        ("loan_status", False, 0, None),
        ("loan", False, 0, None),
        ("district", False, 3, None),
        ("customer", True, 9, "employee_id,marketing_consent"),
    )
    assert [row["names"] for row in switched_off(connection)] == [
        ["loan", "loan_status"],
        ["customer.marketing_consent"],
        ["customer.employee_id"],
        ["card"],
    ]
    assert switched_off(connection)[0]["without_it"] == loss_of("loan")


def test_a_loan_that_is_delivered_without_its_status_has_the_words_of_the_status():
    (row,) = switched_off(counted(("loan", False, 5, None), ("loan_status", False, 0, None)))
    assert row == {"names": ["loan_status"], "without_it": loss_of("loan_status")}


@pytest.mark.parametrize("has_table", [True, False])
def test_a_release_of_an_earlier_version_has_no_columns_or_nothing(has_table):
    connection = counted(("card", False, 0, None), ("customer", True, 9, "employee_id"))
    connection.execute("alter table profile.landing_table drop column lacking")
    if not has_table:
        connection.execute("drop table profile.landing_table")
    assert undelivered(connection) == ({"card"} if has_table else set())


@pytest.mark.parametrize(
    ("unknown", "first", "last"),
    [
        (3, "account_balance", "card"),
        # As many as have credit: losses come first, as usual.
        (2, "loan", "card"),
        (0, "loan", "account_balance"),
    ],
)
def test_balances_come_first_where_they_unlock_more_than_loans_and_last_where_they_are_known(
    unknown, first, last
):
    connection = counted(
        ("account_balance", False, 0, None),
        ("card", False, 0, None),
        ("customer", True, 9, "marketing_consent"),
        ("loan", False, 0, None),
        ("loan_status", False, 0, None),
    )
    connection.execute(f"""
        create schema base;
        create table base.account_month as
        select
            date '2025-12-01' as month, n > {unknown} as is_balance_known,
            if(n <= 2, 'lending', 'deposits') as product_line
        from range(1, 9) as t (n)
        union all
        select date '2025-11-01', false, 'deposits' from range(50)
    """)
    names = [row["names"][0] for row in switched_off(connection)]
    assert (names[0], names[-1]) == (first, last)
    assert sorted(names) == ["account_balance", "card", "customer.marketing_consent", "loan"]
