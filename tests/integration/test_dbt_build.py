"""The dbt project on a small awkward bank: exact figures, months alone, dates as of.

The bank is landed here by hand, straight from the contract, so that every odd case is in it: money
brought forward, a first booking late in the history, an account nobody owns, a booking after the
closing, accounts of a month, joint accounts, changed customers, a loan in arrears.
"""

from __future__ import annotations

import calendar
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from orchestration.environment import DBT_PROJECT
from orchestration.sources.contract import KINDS, PRODUCT_LINES, TABLES

FIRST = date(2023, 1, 1)
LAST = date(2024, 6, 30)
EARLIER = date(2024, 3, 31)
CENT = Decimal("0.01")
UNSTAMPED = date(1900, 1, 1)
STEPS = (["tag:staging", "tag:base"], ["tag:value"], ["tag:features"])
BY_MONTH = (
    "base.account_activity",
    "base.account_month",
    "base.customer_month",
    "base.ledger_reconciliation",
    "value.account_month",
    "value.profit_by_customer",
    "features.customer_month",
)
AS_OF = (
    "base.customer_history",
    "base.account_holder",
    "base.opening_balance",
    "base.account",
    "base.customer",
    "base.campaign_contact",
    "base.household",
)


def month_of(day: date) -> date:
    return day.replace(day=1)


def month_end(month: date) -> date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def months_between(first: date, last: date) -> list[date]:
    months, month = [], month_of(first)
    while month <= last:
        months.append(month)
        month = month_end(month) + timedelta(days=1)
    return months


MONTHS = months_between(FIRST, LAST)


@dataclass
class Bank:
    """Rows of the contract's tables, and the balances brought forward that its bookings imply."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    brought: dict[str, Decimal] = field(default_factory=dict)

    def add(self, table: str, **values: Any) -> None:
        self.rows[table].append(values)


def awkward_bank(customers: int = 40, seed: int = 11) -> Bank:
    draw = random.Random(seed)
    bank = Bank()
    for number in range(3):
        bank.add("district", district_id=f"D{number}", region=f"R{number % 2}")
        bank.add("branch", branch_id=f"B{number}", district_id=f"D{number}")
        bank.add("employee", employee_id=f"E{number}", branch_id=f"B{number}")
    for line in PRODUCT_LINES:
        bank.add("product", product_id=line.upper(), product_line=line)
    for number in range(customers):
        income = draw.randrange(1000, 5000)
        born = date(1950, 1, 1) + timedelta(days=draw.randrange(20000))
        for extract in (date(2023, 1, 1), date(2023, 9, 1), date(2024, 5, 1)):
            if number % 3 == 0:
                income += draw.randrange(2) * 100
            bank.add(
                "customer",
                customer_id=f"C{number:03}",
                birth_date=born,
                sex=("female", "male")[number % 2],
                district_id=f"D{number % 3}",
                customer_since=date(2021, 1, 1) + timedelta(days=number * 7),
                monthly_income=Decimal(income),
                household_id=f"H{number // 2}" if number % 4 else None,
                employee_id=f"E{number % 3}",
                extract_month=extract,
            )
    bookings: list[tuple[str, date, Decimal, str, str | None, Decimal | None]] = []
    for number in range(customers * 2):
        account = f"A{number:03}"
        line = "deposits" if number < customers else draw.choice(PRODUCT_LINES)
        old = number % 3 == 0
        opened = (
            date(2021, 6, 1) + timedelta(days=draw.randrange(500))
            if old
            else FIRST + timedelta(days=draw.randrange(500))
        )
        closed = opened + timedelta(days=draw.randrange(600)) if number % 5 == 0 else None
        if closed and closed > LAST:
            closed = None
        bank.add(
            "account",
            account_id=account,
            product_id=line.upper(),
            branch_id=f"B{number % 3}" if number % 7 else None,
            opened_on=opened,
            closed_on=closed,
            interest_rate=Decimal("0.02"),
            credit_limit=Decimal(500) if line == "cards" else None,
            term_months=24 if number % 4 == 0 else None,
        )
        owner = number % customers
        if number != 17:
            bank.add("account_holder", account_id=account, customer_id=f"C{owner:03}", role="owner")
        for place in range(1, draw.randrange(1, 4)):
            bank.add(
                "account_holder",
                account_id=account,
                customer_id=f"C{(owner + place) % customers:03}",
                role="authorised" if number == 17 else draw.choice(["joint", "authorised"]),
            )
        balance = Decimal(draw.randrange(-50000, 200000)) / 100 if old else Decimal(0)
        last = min(closed or LAST, LAST)
        start = max(opened, FIRST)
        # Some old accounts rest for most of the history, one is never booked.
        if number % 9 == 0:
            start = max(start, date(2024, 2 if number % 2 else 4, 10))
        days = sorted(
            start + timedelta(days=draw.randrange((last - start).days + 1))
            for _ in range(draw.randrange(5, 40))
            if last >= start and number != 21
        )
        if closed and number % 10 == 0 and days:
            days.append(min(LAST, closed + timedelta(days=45)))
        for place, day in enumerate(days):
            if place == 0 and old:
                bank.brought[account] = balance
            kind = draw.choice(KINDS)
            size = Decimal(draw.randrange(1, 40000)) / 100
            negative = kind in {"withdrawal", "transfer_out", "card_payment", "fee", "penalty"}
            amount = -size if negative or kind == "interest_charged" else size
            balance += amount
            channel = draw.choice(["branch", "atm", "online", "mobile", "system", None])
            bookings.append((account, day, amount, kind, channel, balance))
        if line == "lending":
            granted = max(opened, FIRST)
            bank.add(
                "loan",
                loan_id=f"L{number}",
                account_id=account,
                granted_on=granted,
                principal=Decimal(5000),
                term_months=36,
                instalment=Decimal(150),
            )
            for month in months_between(granted, last):
                bank.add(
                    "loan_status",
                    loan_id=f"L{number}",
                    month=month,
                    outstanding=Decimal(100),
                    days_past_due=draw.choice([0, 0, 15, 45, 120]),
                    defaulted=False,
                )
        if number % 3 == 1:
            bank.add(
                "card",
                card_id=f"K{number}",
                account_id=account,
                customer_id=f"C{owner:03}" if number % 2 else None,
                issued_on=opened,
            )
    for place, (account, day, amount, kind, channel, after) in enumerate(bookings):
        bank.add(
            "transaction",
            transaction_id=f"{place}",
            account_id=account,
            booked_on=day,
            amount=amount,
            kind=kind,
            channel=channel,
            balance_after=after,
        )
    for number in range(3):
        starts = date(2023, 3, 1) + timedelta(days=150 * number)
        bank.add("campaign", campaign_id=f"M{number}", product_id="WEALTH", starts_on=starts)
        for customer in range(customers):
            if draw.random() < 0.6:
                contacted = starts + timedelta(days=draw.randrange(20))
                bank.add(
                    "contact",
                    contact_id=f"{number}-{customer}",
                    campaign_id=f"M{number}",
                    customer_id=f"C{customer:03}",
                    contacted_on=contacted,
                    arm=draw.choice(["treatment", "control"]),
                    assignment_probability=0.5,
                )
                if draw.random() < 0.3:
                    bank.add(
                        "response",
                        campaign_id=f"M{number}",
                        customer_id=f"C{customer:03}",
                        responded_on=contacted + timedelta(days=draw.randrange(80)),
                    )
    for number in range(150):
        bank.add(
            "interaction",
            interaction_id=f"{number}",
            customer_id=f"C{draw.randrange(customers):03}",
            occurred_on=FIRST + timedelta(days=draw.randrange((LAST - FIRST).days)),
            topic=draw.choice(["inquiry", "complaint"]),
            sentiment=draw.choice([-0.5, 0.25, None]),
        )
    return bank


def land(path: Path, bank: Bank, as_of: date, window: tuple[date, date] | None = None) -> None:
    """Land what the bank knew at `as_of`, into `landing` of the warehouse at `path`."""
    gone = {row["account_id"] for row in bank.rows["account"] if row["opened_on"] > as_of} | {None}
    lost = {row["loan_id"] for row in bank.rows["loan"] if row["granted_on"] > as_of} | {None}
    unborn = {row["campaign_id"] for row in bank.rows["campaign"] if row["starts_on"] > as_of} | {
        None
    }
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema if not exists landing")
        for table in TABLES:
            columns = {column.name: column.type for column in table.columns if not column.personal}
            columns["month" if table.event else "extract_month"] = "DATE"
            landed = []
            for given in bank.rows[table.name]:
                row = {name: given.get(name) for name in columns}
                if table.event:
                    row["month"] = month_of(row[table.dated_by])
                else:
                    row["extract_month"] = given.get("extract_month", UNSTAMPED)
                dated = row[table.dated_by] if table.dated_by else None
                late = (dated and dated > as_of) or row.get("extract_month", FIRST) > as_of
                orphan = (
                    (row.get("account_id", "-") in gone and table.name != "response")
                    or row.get("loan_id", "-") in lost
                    or row.get("campaign_id", "-") in unborn
                )
                if late or orphan:
                    continue
                if row.get("closed_on") and row["closed_on"] > as_of:
                    row["closed_on"] = None
                landed.append(row)
            typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(f"create or replace table landing.{table.name} ({typed})")
            if landed:
                frame = pd.DataFrame(landed, columns=list(columns), dtype=object)
                casts = ", ".join(
                    f"cast({name} as {kind}) as {name}" for name, kind in columns.items()
                )
                for name in columns:
                    frame[name] = frame[name].map(lambda x: None if x is None else str(x))
                connection.register("frame", frame)
                connection.execute(f"insert into landing.{table.name} select {casts} from frame")
        month_from, month_to = window or (FIRST, month_of(as_of))
        connection.execute(
            "create or replace table landing.refresh_window as select ?::date as month_from, "
            "?::date as month_to, ?::date as as_of, ?::date as first_month, 'hand' as source",
            [month_from, month_to, as_of, FIRST],
        )


def dbt(path: Path, *arguments: str) -> str:
    process = subprocess.run(
        [
            *(Path(sys.executable).parent / "dbt", "--no-use-colors", *arguments),
            *("--project-dir", DBT_PROJECT, "--profiles-dir", DBT_PROJECT),
            *("--target-path", path.parent / "target", "--log-path", path.parent),
        ],
        env={**os.environ, "DBT_WAREHOUSE": str(path), "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def build(path: Path) -> None:
    dbt(path, "build", "--exclude-resource-type", "unit_test")


def content(path: Path, table: str, where: str = "true") -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"select * from {table} where {where} order by all").fetchall()


def figures(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def bank() -> Bank:
    return awkward_bank()


@pytest.fixture(scope="module")
def whole(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of all months, built step by step as the refresh does."""
    path = tmp_path_factory.mktemp("whole") / "warehouse.duckdb"
    land(path, bank, LAST)
    for step in STEPS:
        dbt(path, "build", "--exclude-resource-type", "unit_test", "--select", *step)
    return path


@pytest.fixture(scope="module")
def earlier(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse as it was some months earlier."""
    path = tmp_path_factory.mktemp("earlier") / "warehouse.duckdb"
    land(path, bank, EARLIER)
    build(path)
    return path


def daily_balances(bank: Bank, account: str, as_of: date) -> dict[date, Decimal]:
    """End-of-day balances from the bookings, one day after the other."""
    by_day: dict[date, Decimal] = defaultdict(Decimal)
    for row in bank.rows["transaction"]:
        if row["account_id"] == account and row["booked_on"] <= as_of:
            by_day[row["booked_on"]] += row["amount"]
    balance = Decimal(0)
    brought = bank.brought.get(account, Decimal(0))
    known = month_of(min(by_day)) if by_day else None
    balances, day = {}, FIRST
    while day <= as_of:
        if day == known:
            balance += brought
        balance += by_day.get(day, Decimal(0))
        balances[day] = balance
        day += timedelta(days=1)
    return balances


def test_unit_tests_of_the_money_rules_pass(whole):
    said = dbt(whole, "test", "--select", "test_type:unit")
    assert "ERROR=0" in said
    assert "PASS=0" not in said


def test_balances_equal_a_walk_over_the_days(bank, whole):
    built = {
        (account, month): values
        for account, month, *values in figures(
            whole,
            "select account_id, month, opening_balance, closing_balance, balance_day_sum, "
            "average_balance, bookings from base.account_month",
        )
    }
    booked = defaultdict(int)
    for row in bank.rows["transaction"]:
        booked[row["account_id"], month_of(row["booked_on"])] += 1
    expected = {}
    for row in bank.rows["account"]:
        account = row["account_id"]
        balances = daily_balances(bank, account, LAST)
        last = row["closed_on"] or LAST
        for month in MONTHS:
            alive = month_of(row["opened_on"]) <= month <= last
            if not alive and (account, month) not in booked:
                continue
            days = [day for day in balances if month_of(day) == month]
            total = sum(balances[day] for day in days)
            movement = sum(
                txn["amount"]
                for txn in bank.rows["transaction"]
                if txn["account_id"] == account and month_of(txn["booked_on"]) == month
            )
            expected[account, month] = [
                balances[days[-1]] - movement,
                balances[days[-1]],
                total,
                (total / len(days)).quantize(CENT, ROUND_HALF_UP),
                booked[account, month],
            ]
    assert len(expected) > 500
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
    for account, (opening, closing, reported, count) in built.items():
        amounts = [r["amount"] for r in bank.rows["transaction"] if r["account_id"] == account]
        brought = bank.brought.get(account, Decimal(0))
        assert opening == brought
        assert closing == brought + sum(amounts)
        assert count == len(amounts)
        assert reported == (closing if amounts else None)


def test_value_sums_from_the_account_to_the_customer_to_the_cent(whole):
    measures = ("net_interest_margin", "fee_income", "direct_cost", "expected_loss")
    sums = ", ".join(f"sum({name})" for name in (*measures, "contribution_margin"))
    by_account = figures(
        whole,
        f"select month, {sums} from value.account_month group by 1 order 1".replace(
            "order 1", "order by 1"
        ),
    )
    by_customer = figures(
        whole, f"select month, {sums} from value.profit_by_customer group by 1 order by 1"
    )
    assert len(by_account) == len(MONTHS)
    assert by_account == by_customer
    for _, margin, fees, cost, loss, contribution in by_account:
        assert contribution == margin + fees - cost - loss
    (nobody,) = figures(
        whole, "select count(*) from value.profit_by_customer where customer_id = '(none)'"
    )
    assert nobody[0] > 0


def test_fees_and_interest_of_the_value_are_those_of_the_records(bank, whole):
    fees = -sum(r["amount"] for r in bank.rows["transaction"] if r["kind"] in {"fee", "penalty"})
    assert figures(whole, "select sum(fee_income) from value.account_month") == [(fees,)]


def test_a_month_refreshed_alone_changes_nothing(bank, whole, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(whole, path)
    month = date(2023, 8, 1)
    with duckdb.connect(str(path)) as connection:
        # Rows that are wrong must be replaced, or the test would pass by doing nothing.
        for table in BY_MONTH:
            connection.execute(f"delete from {table} where month = ?", [month])
    land(path, bank, LAST, window=(month, month))
    build(path)
    for table in (*BY_MONTH, *AS_OF):
        assert content(path, table) == content(whole, table), table


def test_an_earlier_date_gives_the_earlier_months_of_a_later_build(whole, earlier):
    until = f"month <= date '{EARLIER}'"
    for table in BY_MONTH:
        now, then = content(whole, table, until), content(earlier, table)
        assert now == then, table
        if table != "base.ledger_reconciliation":
            assert now, table


def test_adding_a_month_gives_what_building_all_months_gives(bank, whole, earlier, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(earlier, path)
    land(path, bank, LAST, window=(date(2024, 4, 1), month_of(LAST)))
    build(path)
    for table in (*BY_MONTH, *AS_OF):
        assert content(path, table) == content(whole, table), table


def test_going_back_to_an_earlier_date_forgets_the_later_months(bank, whole, earlier, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(whole, path)
    land(path, bank, EARLIER)
    build(path)
    for table in (*BY_MONTH, *AS_OF):
        assert content(path, table) == content(earlier, table), table


def test_customers_are_those_who_hold_an_account_by_then_in_any_role(bank, earlier):
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
    assert set(figures(earlier, "select customer_id, month from features.customer_month")) == months


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


def test_the_ledger_is_reconciled_line_by_line(bank, whole, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    shutil.copy(whole, path)
    month = date(2024, 5, 1)
    told = Bank()
    told.rows.update(bank.rows)
    branch_of = {r["account_id"]: r["branch_id"] for r in bank.rows["account"]}
    line_of = {r["account_id"]: r["product_id"].lower() for r in bank.rows["account"]}
    fees: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in bank.rows["transaction"]:
        if row["kind"] in {"fee", "penalty"} and month_of(row["booked_on"]) == month:
            account = row["account_id"]
            if branch_of[account]:
                fees[branch_of[account], line_of[account]] -= row["amount"]
    assert fees
    wrong_line = sorted(fees)[0]
    told.rows["ledger"] = [
        {
            "month": month,
            "branch_id": branch,
            "product_line": line,
            "ledger_account": "fee_income",
            "amount": amount + (CENT if (branch, line) == wrong_line else 0),
        }
        for (branch, line), amount in fees.items()
    ]
    land(path, told, LAST, window=(month, month))
    build(path)
    lines = figures(
        path,
        "select branch_id, product_line, difference from base.ledger_reconciliation "
        "where ledger_account = 'fee_income' and branch_id <> '(none)' and difference <> 0",
    )
    assert lines == [(*wrong_line, -CENT)]
    assert figures(whole, "select count(*) from base.ledger_reconciliation") == [(0,)]


def test_a_bank_that_delivers_only_what_is_required_is_built(bank, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    bare = Bank()
    for table in TABLES:
        if table.required:
            columns = {*table.required_columns, "extract_month"}
            bare.rows[table.name] = [
                {name: value for name, value in row.items() if name in columns}
                for row in bank.rows[table.name]
            ]
    land(path, bare, LAST)
    build(path)
    (counted,) = figures(
        path, "select count(*), sum(accounts), count(days_past_due), sum(cards) from base.customer"
    )
    assert counted[0] == len({row["customer_id"] for row in bank.rows["account_holder"]})
    assert counted[1] > 0
    assert counted[2:] == (0, 0)
    assert figures(path, "select count(*) from features.customer_month")[0][0] > 500
