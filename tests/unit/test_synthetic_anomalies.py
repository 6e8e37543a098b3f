"""Planted anomalies: real bookings of their kinds, recorded in the truth, harmless to the bank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from sources.synthetic import SyntheticBank, anomalies
from sources.synthetic.bookings import Bookings

CUSTOMERS, SEED, MONTHS = 2_000, 3, 14


def generate(folder: Path) -> SyntheticBank:
    bank = SyntheticBank(folder / "delivery", folder / "truth", CUSTOMERS, SEED, MONTHS)
    with duckdb.connect() as connection:
        bank.prepare(connection)
    return bank


def load(connection: duckdb.DuckDBPyConnection, bank: SyntheticBank, schema: str) -> None:
    """`booking`, `account`, `ledger` and `planted` of a bank; good and bad rows alike."""
    connection.execute(f"create schema {schema}")
    for name, file in {
        "booking": bank.delivery / "transaction" / "*.parquet",
        "account": bank.delivery / "account.parquet",
        "ledger": bank.delivery / "ledger.parquet",
        "planted": bank.truth / "planted_anomaly.parquet",
    }.items():
        connection.execute(f"create table {schema}.{name} as select distinct * from '{file}'")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The bank, and in schema `plain` the same bank without anomalies and rarities."""
    folder = tmp_path_factory.mktemp("anomalies")
    with duckdb.connect() as connection, pytest.MonkeyPatch.context() as patch:
        load(connection, generate(folder / "struck"), "struck")
        for rate in ("ANOMALY_RATE", "HOLIDAY_RATE", "LARGE_PURCHASE_RATE"):
            patch.setattr(anomalies, rate, 0.0)
        load(connection, generate(folder / "plain"), "plain")
        connection.execute("use struck")
        connection.execute("""
            create table episode as
            select planted.account_id, planted.kind as anomaly,
                date_trunc('month', planted.booked_on) as month,
                min(booking.booked_on) as first_on, max(booking.booked_on) as last_on,
                count(*) as bookings,
                sum(amount) as amount,
                list(booking.kind order by transaction_id) as kinds,
                list(distinct channel) as channels,
                max(abs(amount)) filter (where amount > 0) as largest_in,
                min(amount) filter (where amount > 0) as least_in,
                min_by(balance_after - amount, transaction_id) as before,
                max_by(balance_after, transaction_id) as after
            from planted join booking using (transaction_id)
            where planted.kind <> 'returned'
            group by all""")
        yield connection


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query).fetchall()


def test_every_planted_booking_was_delivered(records: duckdb.DuckDBPyConnection) -> None:
    assert rows(records, "select count(*) from planted") > [(50,)]
    lost = """select count(*) from planted anti join booking
        using (transaction_id, account_id, booked_on)"""
    assert rows(records, lost) == [(0,)]
    kinds = "select distinct kind from planted order by kind"
    assert [kind for (kind,) in rows(records, kinds)] == sorted(anomalies.ANOMALIES[1:])


def test_a_few_customers_a_month_have_an_anomaly(records: duckdb.DuckDBPyConnection) -> None:
    ((share,),) = rows(
        records,
        f"""select (select count(*) from episode) / {MONTHS}
            / (select count(*) from account where product_id = 'CURRENT')""",
    )
    assert 0.0007 < float(str(share)) < 0.0025


def test_a_takeover_empties_the_account_to_an_unknown_counterparty(
    records: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        records,
        """select bookings, last_on - first_on, amount / before, kinds, channels
            from episode where anomaly = 'account_takeover'""",
    )
    assert len(found) > 3
    for bookings, days, share, kinds, channels in found:
        assert bookings in (1, 2) and days in (0, 1)
        assert set(kinds) == {"transfer_out"} and set(channels) <= {"mobile", "online"}
        assert -1 < float(share) < -0.55
    known = """
        select count(*) from planted join booking using (transaction_id)
        join booking as earlier on earlier.account_id = booking.account_id
            and earlier.counterparty_account = booking.counterparty_account
            and earlier.transaction_id < booking.transaction_id
        where planted.kind = 'account_takeover'
            and earlier.transaction_id not in (select transaction_id from planted)"""
    assert rows(records, known) == [(0,)]


def test_a_card_burst_is_many_payments_within_two_days(
    records: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        records,
        """select bookings, last_on - first_on, kinds, channels, amount
            from episode where anomaly = 'card_burst'""",
    )
    assert len(found) > 3
    for bookings, days, kinds, channels, amount in found:
        assert 5 <= bookings <= 8 and days in (0, 1)
        assert set(kinds) == {"card_payment"} and set(channels) <= {"card", "online"}
        assert -anomalies.MOST_SPENT / 100 - 1 < amount < -1_400


def test_structuring_deposits_stay_below_a_threshold_and_are_sent_on(
    records: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        records,
        """select bookings, kinds, largest_in, least_in, amount, last_on - first_on
            from episode where anomaly = 'structuring'""",
    )
    assert len(found) > 3
    for bookings, kinds, largest, least, rest, days in found:
        assert kinds == ["deposit"] * (bookings - 1) + ["transfer_out"] and bookings >= 4
        threshold = min(limit for limit in anomalies.THRESHOLDS / 100 if limit > largest)
        assert 0.895 * threshold <= least and days <= 12
        assert 0 <= rest <= 0.11 * (bookings - 1) * threshold


def test_a_dormant_account_is_active_for_one_day(records: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        records,
        """select account_id, first_on, last_on, kinds, least_in, amount
            from episode where anomaly = 'dormant_awakened'""",
    )
    assert found
    for account, first, last, kinds, arrived, rest in found:
        assert first == last and kinds == ["transfer_in", "transfer_out"]
        assert arrived >= 2_000 and 0 <= rest <= 0.07 * float(arrived)
        ((touched,),) = records.execute(
            """select count(*) from booking where account_id = $account and channel <> 'system'
                and booked_on < $first
                and booked_on >= date_trunc('month', $first) - interval 5 months""",
            {"account": account, "first": first},
        ).fetchall()
        assert touched == 0


def test_legitimate_rarities_are_not_in_the_truth(records: duckdb.DuckDBPyConnection) -> None:
    """Large payments to strangers that nobody has to warn of; without them finding is easy."""
    strangers = f"""
        select count(*) from booking anti join planted using (transaction_id)
        where counterparty_account >= '{anomalies.FIRST_COUNTERPARTY:010d}'
            and kind = 'transfer_out' and amount < -1000"""
    assert rows(records, strangers) > [(10,)]


def test_the_other_random_draws_stay_unchanged(records: duckdb.DuckDBPyConnection) -> None:
    """Within the month nothing but the interest of those struck differs; then states move on."""
    compared = """
        select
            count(*),
            count(*) filter (where now is null and kind not like 'interest%'),
            count(*) filter (where now is null)
        from plain.booking
        left join (select distinct account_id, booked_on, kind, amount, true as now from booking)
            using (account_id, booked_on, kind, amount)
        where booked_on < date '2023-02-01'"""
    ((bookings, changed, all_changed),) = rows(records, compared)
    assert int(str(bookings)) > 4_000
    ((there,),) = rows(records, "select count(*) from booking where booked_on < date '2023-02-01'")
    assert int(str(there)) > int(str(bookings)) + 10
    assert changed == 0 and int(str(all_changed)) < 0.01 * int(str(bookings))


def test_nearly_every_account_ends_the_month_at_its_balance_without_anomalies(
    records: duckdb.DuckDBPyConnection,
) -> None:
    """But for the interest of the days between: what was taken came back."""
    away = """
        with
        planted_sum as (
            select account_id, date_trunc('month', booked_on) as month, sum(amount) as amount
            from booking group by all
        ),
        plain_sum as (
            select account_id, date_trunc('month', booked_on) as month, sum(amount) as amount
            from plain.booking group by all
        )
        select
            count(*),
            count(*) filter (where abs(coalesce(now.amount, 0) - coalesce(before.amount, 0)) > 25)
        from planted_sum as now
        full join plain_sum as before using (account_id, month)"""
    ((months, moved),) = rows(records, away)
    print(months, moved)
    assert int(str(months)) > 40_000
    assert int(str(moved)) < 0.002 * int(str(months))


def test_the_banks_economics_hardly_change(records: duckdb.DuckDBPyConnection) -> None:
    for account in ("interest_income", "interest_expense", "fee_income", "customer_balance"):
        query = "select sum(amount)::double, sum(abs(amount))::double from {} where {}"
        chosen = f"ledger_account = '{account}'"
        (now, _), (before, size) = (
            rows(records, query.format(table, chosen))[0] for table in ("ledger", "plain.ledger")
        )
        assert abs(float(str(now)) - float(str(before))) < 0.01 * float(str(size)), account


def test_balances_by_day_follow_the_bookings_so_far() -> None:
    book = Bookings()
    book.add(np.array([1, 0, 1]), np.array([2, 3, 2]), np.array([-5, 7, -1]), "deposit", "branch")
    found = book.day_balances(np.array([1, 2]), 4, np.array([10, 20, 30]))
    assert found.tolist() == [[20, 14, 14, 14], [30, 30, 30, 30]]
