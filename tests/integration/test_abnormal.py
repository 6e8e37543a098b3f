"""Abnormal transactions of generated banks: what was planted is found, and nothing else changes it.

The models of `dbt_project/models/alerts` are compiled once and run by the engine for each month.
`pytest -s` prints precision and recall at capacity beside two simple rules.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy import stats

from orchestration.alerts import transaction
from orchestration.alerts.transaction import write_transaction_alerts
from orchestration.models.cutoffs import plus_months
from sources.synthetic import SyntheticBank
from tests.integration.bank import compiled, customer_parts_built, dbt

pytestmark = pytest.mark.slow

CUSTOMERS, SEED, MONTHS = 2_500, 7, 24
LAST = date(2024, 12, 1)
JUDGED = [plus_months(LAST, -ago) for ago in range(8)]
# In the order in which they read each other.
DAY_TABLES = (
    *("sample", "account", "peer_amount", "peer_channel", "booking", "profile", "channel"),
    *("kind_day", "account_day", "customer_day"),
)

COLUMNS = (
    *("transaction_id", "account_id", "customer_id", "booked_on", "month", "kind", "channel"),
    *("amount", "score", "rank", "severity", "reason", "usual_amount", "rule_score"),
    *("forest_score", "employee_id"),
)

# Simple rules beside the alerts: the largest bookings of the month, and the largest beside the
# account's own mean and standard deviation of the same kind of booking.
OWN = """
    select *, abs(amount)::double as size, month = $month as is_judged
    from staging.stg_transaction
    where
        month between $month - interval 12 months and $month
        and kind in (
            'deposit', 'withdrawal', 'transfer_in', 'transfer_out', 'card_payment', 'other'
        )
        and coalesce(channel, '') not in ('system', 'standing_order') and amount <> 0
"""
RULES = {
    "largest amount": f"""
        select account_id, booked_on, size as score from ({OWN}) where is_judged
    """,
    "z-score of the amount": f"""
        select account_id, booked_on, (ln(size) - mean) / greatest(deviation, 0.1) as score
        from ({OWN})
        inner join (
            select
                account_id, kind, avg(ln(size)) as mean, stddev(ln(size)) as deviation
            from ({OWN}) where not is_judged group by account_id, kind having count(*) >= 3
        ) using (account_id, kind)
        where is_judged
    """,
}


def load(connection: duckdb.DuckDBPyConnection, delivery: Path, truth: Path) -> None:
    """The tables that alerts are made of, straight from a delivery; `planted` beside them."""

    def table(folder: Path, name: str) -> str:
        return "'" + str(folder / name).replace("'", "''") + "'"

    connection.execute(f"""
        create schema staging; create schema base;
        create table staging.stg_transaction as
        select delivered.*, date_trunc('month', booked_on)::date as month
        from (
            select
                * exclude (filename, file_row_number),
                'transaction/' || parse_filename(filename) as file,
                file_row_number + 1 as row_number
            from read_parquet(
                {table(delivery, "transaction/*.parquet")}, filename = true, file_row_number = true
            )
        ) as delivered
        anti join {table(truth, "planted_defect.parquet")} as defect
            on defect.table_name = 'transaction'
            and defect.file = delivered.file and defect.row_number = delivered.row_number;
        create table base.account as
        select account_id, opened_on, closed_on, product_line
        from {table(delivery, "account.parquet")}
        inner join {table(delivery, "product.parquet")} using (product_id);
        create table base.account_holder as
        select account_id, customer_id, role from {table(delivery, "account_holder.parquet")};
        create table base.account_month as
        select
            account_id, month, min_by(balance_after - amount, transaction_id) as opening_balance
        from staging.stg_transaction group by account_id, month;
        create table base.refresh_window as select null::date as as_of_month;
        create table base.customer as
        select
            customer_id,
            (select count(*) from base.account_holder as held
             inner join base.account using (account_id)
             where held.customer_id = customer.customer_id and closed_on is null) as accounts,
            any_value(employee_id) as employee_id
        from {table(delivery, "customer/*.parquet")} as customer group by customer_id;
        create table planted as from {table(truth, "planted_anomaly.parquet")};
    """)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of the bank; what dbt compiled stands beside it."""
    folder = tmp_path_factory.mktemp("abnormal")
    bank = SyntheticBank(folder / "delivery", folder / "truth", CUSTOMERS, SEED, MONTHS)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        bank.prepare(connection)
        load(connection, bank.delivery, bank.truth)
    dbt(folder / "warehouse.duckdb", "compile", "--select", "path:models/alerts")
    return folder / "warehouse.duckdb"


@pytest.fixture(scope="module")
def records(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    queries.update({name: compiled(path, f"alerts_{name}") for name in DAY_TABLES})
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema alerts")
        yield connection


# What dbt compiled, by table.
queries: dict[str, str] = {}


def judge(connection: duckdb.DuckDBPyConnection, month: date, seed: int = 1) -> int:
    """Build the tables of days and write the alerts as of a month."""
    connection.execute("update base.refresh_window set as_of_month = ?", [month])
    for name in DAY_TABLES:
        connection.execute(f"create or replace table alerts.{name} as {queries[name]}")
    return write_transaction_alerts(connection, seed=seed)


def alerts(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute("select * from alerts.transaction order by rank").fetchall()


def found(connection: duckdb.DuckDBPyConnection, month: date, days: str) -> tuple[int, int, int]:
    """Days alerted, those on which something planted was booked, and planted episodes found."""
    ((alerted, hits, episodes),) = connection.execute(
        f"""
        with alerted as ({days}),
        hit as (
            select distinct alerted.account_id, alerted.booked_on from alerted
            inner join planted
                on planted.account_id = alerted.account_id and planted.booked_on = alerted.booked_on
        )
        select
            (select count(*) from alerted),
            (select count(*) from hit),
            (select count(distinct account_id) from hit)
        """
    ).fetchall()
    return alerted, hits, episodes


def measure(connection: duckdb.DuckDBPyConnection, months: list[date]) -> dict[str, list[int]]:
    """Rule: days alerted, days that were planted, episodes found, episodes there."""
    sums: dict[str, list[int]] = {}
    for month in months:
        count = judge(connection, month)
        ((there,),) = connection.execute(
            "select count(distinct account_id) from planted "
            "where date_trunc('month', booked_on) = ?",
            [month],
        ).fetchall()
        ways = {"alerts.transaction": "select account_id, booked_on from alerts.transaction"}
        for name, rule in RULES.items():
            connection.execute(
                f"""
                create or replace temp table simple as
                select account_id, max_by(booked_on, score) as booked_on, max(score) as score
                from ({rule}) group by account_id order by score desc limit {count}
                """,
                {"month": month},
            )
            ways[name] = f"select account_id, booked_on from simple_{len(ways)}"
            connection.execute(
                f"create or replace temp table simple_{len(ways) - 1} as from simple"
            )
        for name, days in ways.items():
            alerted, hits, episodes = found(connection, month, days)
            row = sums.setdefault(name, [0, 0, 0, 0])
            for place, value in enumerate((alerted, hits, episodes, there)):
                row[place] += value
    return sums


def test_planted_anomalies_are_found_far_better_than_by_amount(
    records: duckdb.DuckDBPyConnection,
) -> None:
    sums = measure(records, JUDGED)
    for name, (alerted, hits, episodes, there) in sums.items():
        print(f"{name:24} precision {hits / alerted:.2f} recall {episodes / there:.2f} of {there}")
    alerted, hits, episodes, there = sums.pop("alerts.transaction")
    assert there >= 10
    assert hits / alerted > 0.2 and episodes / there > 0.4
    for other_alerted, other_hits, _, _ in sums.values():
        assert hits / alerted > 2 * other_hits / other_alerted + 0.05


def test_alerts_hold_the_agreed_columns_and_no_personal_value(
    records: duckdb.DuckDBPyConnection,
) -> None:
    count = judge(records, LAST)
    described = records.execute("describe alerts.transaction").fetchall()
    assert tuple(row[0] for row in described) == COLUMNS
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in alerts(records)]
    assert count == len(rows) == 5
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    strangers = {
        str(number)
        for (number,) in records.execute(
            "select distinct counterparty_account from staging.stg_transaction "
            "where counterparty_account is not null"
        ).fetchall()
    }
    for row in rows:
        assert row["reason"] and row["month"] == LAST
        assert row["severity"] in {"alarm", "warning", "watch"}
        assert row["usual_amount"] > 0
        words = set(re.findall(r"\w{6,}", row["reason"]))
        assert not words & strangers and row["customer_id"] not in row["reason"]
        assert row["score"] == pytest.approx((row["rule_score"] + row["forest_score"]) / 2)
        (booking,) = records.execute(
            "select account_id, booked_on, kind, channel, amount from staging.stg_transaction "
            "where transaction_id = ?",
            [row["transaction_id"]],
        ).fetchall()
        named = ("account_id", "booked_on", "kind", "channel", "amount")
        assert booking == tuple(row[name] for name in named)


def test_the_same_month_gives_the_same_alerts(records: duckdb.DuckDBPyConnection) -> None:
    judge(records, LAST)
    first = alerts(records)
    judge(records, LAST)
    assert alerts(records) == first


def test_later_bookings_change_no_earlier_alert(records: duckdb.DuckDBPyConnection) -> None:
    earlier = plus_months(LAST, -1)
    judge(records, earlier)
    first = alerts(records)
    records.execute("begin")
    records.execute("delete from staging.stg_transaction where month = ?", [LAST])
    judge(records, earlier)
    without = alerts(records)
    records.execute("rollback")
    assert without == first


def test_parts_of_the_bank_are_judged_as_the_whole(
    records: duckdb.DuckDBPyConnection,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bounded memory, of the engine and of Python, changes no alert."""
    judge(records, LAST)
    whole = [row[:8] + row[10:13] for row in alerts(records)]
    records.execute("checkpoint")
    copied = tmp_path / path.name
    shutil.copy(path, copied)
    models = " ".join(f"alerts_{name}" for name in DAY_TABLES)
    dbt(copied, "run", "--select", models, months_at_once=30)
    found = customer_parts_built(copied, "alerts_booking", "account")
    assert found == [f"% 4 = {part}" for part in range(4)]
    monkeypatch.setattr(transaction, "VECTORS", 1)
    with duckdb.connect(str(copied)) as connection:
        connection.execute("drop table alerts.transaction")
        write_transaction_alerts(connection, seed=1)
        assert [row[:8] + row[10:13] for row in alerts(connection)] == whole


def test_capacity_bounds_the_alerts(records: duckdb.DuckDBPyConnection) -> None:
    few = judge(records, LAST)
    chosen = {row[0] for row in alerts(records)}
    many = write_transaction_alerts(records, capacity_per_1000=8.0, seed=1)
    assert few < many <= 20
    assert chosen < {row[0] for row in alerts(records)}
    assert write_transaction_alerts(records, capacity_per_1000=0, seed=1) == 0
    assert alerts(records) == []
    with pytest.raises(ValueError, match="expected 0 or more"):
        write_transaction_alerts(records, capacity_per_1000=-1, seed=1)


def test_too_little_history_leaves_the_table_empty(records: duckdb.DuckDBPyConnection) -> None:
    judge(records, LAST)
    assert judge(records, date(2023, 3, 1)) == 0
    assert alerts(records) == []
    records.execute("begin")
    records.execute("delete from staging.stg_transaction")
    assert judge(records, LAST) == 0
    assert alerts(records) == []
    records.execute("rollback")


def test_surprises_equal_the_laws_that_they_are_taken_from(
    records: duckdb.DuckDBPyConnection,
) -> None:
    """A second way, by scipy: negative binomial counts, Student's t of amounts."""
    judge(records, LAST)
    days = records.execute(
        "select kind_day.*, shape, exposure from alerts.kind_day "
        "inner join alerts.profile using (account_id, kind, is_in)"
    ).df()
    assert len(days) > 1_000

    def burst(count: str, window: int) -> np.ndarray:
        law = stats.nbinom(days["shape"], days["exposure"] / (days["exposure"] + window))
        expected = np.maximum(1, days["shape"] * window / days["exposure"])
        surprise = law.logpmf(1) - law.logpmf(days[count])
        return np.where(days[count] > expected, surprise, 0)

    counted = np.maximum(burst("bookings_2d", 2), burst("bookings_10d", 10))
    np.testing.assert_allclose(days["count_surprise"], counted, atol=1e-9)
    assert (counted > 1).sum() > 10
    law = stats.t(np.minimum(30, 4 + days["known_bookings"]))
    amounts = law.logpdf(0) - law.logpdf(np.maximum(days["z"], 0))
    np.testing.assert_allclose(days["amount_surprise"], amounts, atol=1e-9)
    assert (amounts > 1).sum() > 100


def test_a_warehouse_built_by_the_refresh_has_all_that_is_needed(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The awkward bank has joint accounts, accounts of nobody and bookings without a channel."""
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(whole.read_bytes())
    monkeypatch.setattr(transaction, "LEAST_DAYS", 20)
    monkeypatch.setattr(transaction, "WATCHED", 0.0)
    with duckdb.connect(str(path)) as connection:
        count = write_transaction_alerts(connection, seed=1)
        assert count == 1
        ((owned,),) = connection.execute("""
            select count(*) from alerts.transaction as alert
            inner join base.account_holder as holder
                on holder.account_id = alert.account_id
                and holder.customer_id = alert.customer_id and holder.role = 'owner'
        """).fetchall()
        assert owned == 1
