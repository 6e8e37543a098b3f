"""The dbt project on the awkward bank: exact figures, months alone, dates as of."""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import dagster as dg
import duckdb
import pytest

from orchestration.platform.dbt import failed_tests, failures_of
from tests.integration.bank import (
    CENT,
    EARLIER,
    EARLIER_AT_ONCE,
    FIRST,
    LAST,
    LEDGER_MONTHS,
    account_months,
    build,
    compiled,
    content,
    customer_parts_built,
    daily_balances,
    days_of,
    figures,
    land,
    month_end,
    month_of,
    months_between,
    parts_built,
)

BY_MONTH = (
    "base.account_activity",
    "base.account_month",
    "base.loan_exposure",
    "base.customer_month",
    "base.account_move",
    "base.booking_before_move",
    "base.account_result",
    "base.adjustment",
    "base.operating_cost",
    "base.ledger_reconciliation",
    "value.overhead_pool",
    "value.overhead",
    "value.credit_risk",
    "value.loss_backtest",
    "value.account_month",
    "value.account_credit",
    "value.customer_rate",
    "value.residual",
    "value.profit_by_customer",
    "value.profit_by_household",
    "value.profit_by_group",
    "value.profit_by_kind",
    "value.profit_by_product",
    "value.profit_by_branch",
    "value.profit_by_line",
    "value.profit_by_channel",
    "value.profit_by_district",
    "value.profit_by_vintage",
    "value.profit_by_employee",
    "value.customer_tier",
    "value.tier_migration",
    "value.profit_by_tier",
    "value.profit_by_decile",
    "value.profit_distribution",
    "value.profit_unpriced",
    "value.cost_to_income",
)
# Built anew each time, but their months too are the same at every later date.
# The bank delivers its accounts once: none moves. The known bank has one that does.
OF_MOVES = ("base.account_move", "base.booking_before_move")
BY_MONTH_ANEW = (
    "value.accrued_interest",
    "value.account_branch",
    "value.transfer_price",
    "value.transfer_tranche",
    "value.unit_cost",
    "value.plan_actual",
    "value.source_total",
    "value.reconciliation",
)
AS_OF = (
    "base.customer_history",
    "base.account_history",
    "base.account_holder",
    "base.account_owner",
    "base.opening_balance",
    "base.account",
    "base.customer",
    "base.campaign_contact",
    "base.household",
    "base.branch",
    "base.product",
    "value.offer",
    "value.transfer_curve",
    "value.transfer_premium",
    "value.product_parameter",
    "value.kpi_target",
    "value.mover",
    "value.profit_pro_forma",
    "decisions.term_price",
    "decisions.price_floor",
    "outcomes.cutoff_month",
    "outcomes.customer_line_month",
    "outcomes.customer_line",
    "outcomes.customer_month",
    "outcomes.contact",
    "outcomes.account_opening",
    "outcomes.customer_sample",
    "features.customer_month",
    "features.offer",
    "features.spine",
    "scores.customer",
    "alerts.credit",
    "alerts.sample",
    "alerts.account",
    "alerts.peer_amount",
    "alerts.peer_channel",
    "alerts.booking",
    "alerts.profile",
    "alerts.channel",
    "alerts.kind_day",
    "alerts.account_day",
    "alerts.customer_day",
    "alerts.loan",
    "contacts.policy",
    "contacts.channel",
    "contacts.talking_point",
    "contacts.contactability",
    "contacts.candidate",
    "decisions.worklist",
    "decisions.guide",
    "decisions.grid",
    "decisions.manager_scorecard",
    "decisions.manager_kpi",
    *BY_MONTH_ANEW,
)


def test_unit_tests_of_the_money_rules_pass(whole):
    """They ran with the build, each before its model."""
    target = whole.parent / "target"
    defined = json.loads((target / "manifest.json").read_text())["unit_tests"]
    results = json.loads((target / "run_results.json").read_text())["results"]
    found = {one["unique_id"]: one["status"] for one in results}
    assert len(defined) > 50
    assert {found.get(name) for name in defined} == {"pass"}


def test_the_first_rows_of_a_failed_test_are_shown(whole, tmp_path):
    """As dbt compiled it: a test that a yml file names, and one that is a file itself."""
    target = whole.parent / "target"
    nodes = json.loads((target / "manifest.json").read_text())["nodes"]
    named, own = (
        next(key for key, node in nodes.items() if node["name"].startswith(start))
        for start in ("one_row_per_base_account_account_id", "account_balance_ends")
    )
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(whole.read_bytes())
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "insert into base.account from base.account "
            "where closing_balance is not null order by account_id limit 1"
        )
        ((account,),) = connection.execute(
            "select min(account_id) from base.account where closing_balance is not null"
        ).fetchall()
        connection.execute(
            "update base.account set closing_balance = 7.77 where account_id = ?", [account]
        )
        failed = {}
        for test in (named, own):
            metadata = {"unique_id": test, "status": "fail", "dagster_dbt/failed_row_count": 2}
            failed |= failures_of(dg.AssetCheckResult(passed=False, metadata=metadata))
        shown = failed_tests(connection, failed, target / "manifest.json", target)
    assert len(shown) == 2
    for line, test in zip(shown, (named, own), strict=True):
        assert line.startswith(f"{nodes[test]['name']} (2 rows): ")
        assert f"account_id {account}" in line
    passed = {"unique_id": own, "status": "pass", "dagster_dbt/failed_row_count": 0}
    assert failures_of(dg.AssetCheckResult(passed=True, metadata=passed)) == {}
    assert failures_of(dg.Output(None)) == {}


def test_balances_equal_a_walk_over_the_days(bank, whole):
    built = {
        (account, month): values
        for account, month, *values in figures(
            whole,
            "select account_id, month, opening_balance, closing_balance, balance_day_sum, "
            "average_balance, bookings from base.account_month",
        )
    }
    expected = {}
    delivered = {
        (row["account_id"], row["month"]): row["balance_day_sum"]
        for row in bank.rows["account_balance"]
    }
    balances = {
        r["account_id"]: daily_balances(bank, r["account_id"], LAST) for r in bank.rows["account"]
    }
    for (account, month), bookings in account_months(bank).items():
        days = [balances[account][day] for day in days_of(month)]
        if days[-1] is None:
            expected[account, month] = [None, None, None, None, len(bookings)]
            continue
        movement = sum(booking["amount"] for booking in bookings)
        before = balances[account].get(month - timedelta(days=1))
        opening = days[-1] - movement if before is None else before
        earlier = max(month_of(month - timedelta(days=1)), FIRST)
        day_sum = bank.translated(
            account, delivered.get((account, month)) or sum(days), month, "average_rate"
        )
        expected[account, month] = [
            bank.translated(account, opening, earlier, "closing_rate"),
            bank.translated(account, days[-1], month, "closing_rate"),
            day_sum,
            (day_sum / len(days)).quantize(CENT, ROUND_HALF_UP),
            len(bookings),
        ]
    assert len(expected) > 500
    assert 10 < sum(row[1] is None for row in expected.values()) < 200
    assert built == expected


def test_accounts_as_of_the_date_equal_the_bookings(bank, whole):
    built = {
        account: values
        for account, *values in figures(
            whole,
            "select account_id, opening_balance, closing_balance, reported_balance, "
            "transaction_count from base.account",
        )
    }
    assert set(built) == {row["account_id"] for row in bank.rows["account"]}
    balances = {account: daily_balances(bank, account, LAST) for account in built}
    delivered = {row["account_id"] for row in bank.rows["account_balance"]}
    settled = {
        row["account_id"]
        for row in bank.rows["account"]
        if row["closed_on"] and row["closed_on"] < FIRST
    }
    for account, (opening, closing, reported, count) in built.items():
        amounts = [r["amount"] for r in bank.rows["transaction"] if r["account_id"] == account]
        assert count == len(amounts)
        last = Decimal(0) if account in settled else balances[account][LAST]
        assert closing == last
        assert opening == (None if last is None else last - sum(amounts))
        if account not in delivered:
            assert reported == (closing if amounts else None)


def test_every_table_of_the_project_is_compared(whole):
    manifest = json.loads((whole.parent / "target" / "manifest.json").read_text())
    tables = defaultdict(set)
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            name = f"{node['schema']}.{node['alias']}"
            tables[node["config"]["materialized"]].add(name)
    assert tables["incremental"] == set(BY_MONTH)
    assert tables["table"] <= set(AS_OF)


def test_credit_alerts_judge_the_open_loans_of_the_month_by_their_first_owner(bank, whole):
    """No dbt unit test: it cannot be given base.account_month and value.account_month at once."""
    loans = {row["loan_id"]: row["account_id"] for row in bank.rows["loan"]}
    closed = {row["account_id"]: row["closed_on"] for row in bank.rows["account"]}
    owners = defaultdict(list)
    for row in bank.rows["account_holder"]:
        if row["role"] == "owner":
            owners[row["account_id"]].append(row["customer_id"])
    expected = {
        account: (min(owners[account]), row["days_past_due"])
        for row in bank.rows["loan_status"]
        if row["month"] == month_of(LAST)
        and (closed[account := loans[row["loan_id"]]] or date.max) > LAST
        and owners[account]
    }
    built = figures(
        whole,
        "select loan.account_id, loan.customer_id, loan.days_past_due, loan.exposure, "
        "value.exposure, loan.loss_given_default, parameter.loss_given_default, "
        "loan.employee_id is not distinct from customer.employee_id "
        "from alerts.loan as loan "
        "inner join base.account using (account_id) "
        "inner join base.customer as customer on customer.customer_id = loan.customer_id "
        "inner join value.account_month as value "
        f"on value.account_id = loan.account_id and value.month = date '{month_of(LAST)}' "
        "inner join value.product_parameter as parameter "
        "on parameter.product_id = account.product_id and parameter.month = value.month",
    )
    assert {row[0]: row[1:3] for row in built} == expected
    assert len(expected) >= 2
    for *_, exposure, valued, loss, given, is_manager in built:
        assert exposure == valued and loss == given and is_manager


@pytest.mark.slow
def test_an_earlier_date_gives_the_earlier_months_of_a_later_build(whole, earlier):
    until = f"month <= date '{EARLIER}'"
    for table in (*BY_MONTH, *BY_MONTH_ANEW):
        now, then = content(whole, table, until), content(earlier, table)
        assert now == then, table
        assert now or table in OF_MOVES, table


@pytest.mark.slow
def test_features_known_at_an_earlier_date_are_those_of_a_later_build(whole, earlier):
    now, then = (
        {row[:2]: row[2:] for row in content(path, "features.customer_month")}
        for path in (whole, earlier)
    )
    both = now.keys() & then.keys()
    assert len(both) > 100
    assert {key: now[key] for key in both} == {key: then[key] for key in both}


@pytest.mark.slow
def test_a_large_bank_is_built_some_months_at_a_time(earlier):
    # What such a build gives is compared with one of all months at once by the other tests.
    months = len(months_between(FIRST, EARLIER))
    for model in ("base_account_month", "value_account_month"):
        assert parts_built(earlier, model) == math.ceil(months / EARLIER_AT_ONCE), model
    # Features look back twelve months: each part is some of the customers over all months, as many
    # as four rows of accounts for each of 24 months of everybody allow.
    parts = math.ceil(4 * 24 / EARLIER_AT_ONCE)
    found = customer_parts_built(earlier, "features_customer_month", "holder")
    assert found == [f"% {parts} = {part}" for part in range(parts)]


@pytest.mark.slow
def test_prices_known_at_an_earlier_date_are_those_of_a_later_build(whole, earlier):
    # A later build also has longer tenors, months before the first and products opened since.
    for table in ("value.transfer_curve", "value.product_parameter"):
        now, then = content(whole, table), content(earlier, table)
        assert then, table
        assert set(then) <= set(now), table


@pytest.mark.slow
@pytest.mark.parametrize("months_at_once", [0, 2])
def test_adding_months_gives_the_same_as_a_full_build(
    bank, reference, whole, earlier, tmp_path, months_at_once
):
    """At once they continue the states that the warehouse has; in parts they read the bookings."""
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(earlier, path)
    land(path, bank, LAST, window=(date(2024, 4, 1), month_of(LAST)))
    build(path, reference, months_at_once=months_at_once)
    carried = 'from "warehouse"."base"."account_month" as kept' in compiled(
        path, "base_account_month"
    )
    assert carried == (months_at_once == 0)
    for table in (*BY_MONTH, *AS_OF):
        assert content(path, table) == content(whole, table), table


@pytest.mark.slow
def test_customers_hold_an_account_in_any_role_by_the_as_of_date(bank, earlier):
    opened = {r["account_id"]: r["opened_on"] for r in bank.rows["account"]}
    first: dict[str, date] = {}
    for row in bank.rows["account_holder"]:
        day = opened[row["account_id"]]
        first[row["customer_id"]] = min(first.get(row["customer_id"], day), day)
    expected = sorted(customer for customer, day in first.items() if day <= EARLIER)
    assert figures(earlier, "select customer_id from base.customer order by 1") == [
        (customer,) for customer in expected
    ]
    months = {
        (customer, month)
        for customer, day in first.items()
        for month in months_between(max(day, FIRST), EARLIER)
    }
    assert set(figures(earlier, "select customer_id, month from base.customer_month")) == months
    built = figures(earlier, "select customer_id, month from features.customer_month")
    assert len(built) == len(set(built)) and set(built) < months
    assert {(customer, month) for customer, month in built if month == month_of(EARLIER)} == {
        (customer, month) for customer, month in months if month == month_of(EARLIER)
    }


def test_features_follow_the_customer_version_valid_at_the_time(bank, whole):
    versions: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
    for row in bank.rows["customer"]:
        versions[row["customer_id"]].append((row["extract_month"], row["monthly_income"]))
    for customer, month, income in figures(
        whole, "select customer_id, month, monthly_income from features.customer_month"
    ):
        known = [value for extract, value in versions[customer] if extract <= month_end(month)]
        assert income == float(known[-1] if known else versions[customer][0][1])


def test_trailing_features_equal_sums_over_the_months_of_the_value(whole):
    wrong = figures(
        whole,
        """
        select feature.customer_id, feature.month
        from features.customer_month as feature
        left join value.profit_by_customer as profit
            on
                profit.customer_id = feature.customer_id
                and profit.month between feature.month - interval 5 month and feature.month
        group by feature.customer_id, feature.month, feature.contribution_margin_6m
        having feature.contribution_margin_6m
            <> cast(coalesce(sum(profit.contribution_margin), 0) as double)
        """,
    )
    assert wrong == []


@pytest.mark.slow
def test_the_ledger_is_reconciled_line_by_line_where_one_was_delivered(bank, whole, bare):
    lines = {
        (row["month"], row["branch_id"], row["product_line"], row["ledger_account"]): row["amount"]
        for row in bank.rows["ledger"]
        if row["ledger_account"] != "operating_cost"
    }
    built = {
        key: (booked + adjustment, reported, difference, tolerance)
        for *key, booked, adjustment, reported, difference, tolerance in figures(
            whole, "select * from base.ledger_reconciliation"
        )
        for key in [tuple(key)]
    }
    assert {key[0] for key in built} == set(LEDGER_MONTHS)
    nothing = Decimal(0)
    assert built == {key: (amount, amount, nothing, nothing) for key, amount in lines.items()}
    assert figures(bare, "select count(*) from base.ledger_reconciliation") == [(0,)]


@pytest.mark.slow
def test_a_bank_that_delivers_only_what_is_required_is_built(bare_bank, bare):
    (counted,) = figures(
        bare, "select count(*), sum(accounts), count(days_past_due), sum(cards) from base.customer"
    )
    assert counted[0] == len({row["customer_id"] for row in bare_bank.rows["account_holder"]})
    assert counted[1] > 0
    assert counted[2:] == (0, 0)
    assert figures(bare, "select count(*) from features.customer_month")[0][0] > counted[0]
