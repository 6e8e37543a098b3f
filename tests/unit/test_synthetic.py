"""The synthetic bank: the same every time, whole, in balance, randomised, with the truth apart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.stats import spearmanr

from orchestration.landing.engine import Window, land
from sources.contract import BY_NAME, EVENTS, TABLES
from sources.synthetic import SyntheticBank
from sources.synthetic.bank import MARKER
from sources.synthetic.bookings import Bookings

CUSTOMERS, SEED, MONTHS = 300, 20, 36


def generate(folder: Path, **changed: int) -> SyntheticBank:
    parameters = {"customers": CUSTOMERS, "seed": SEED, "months": MONTHS, **changed}
    bank = SyntheticBank(folder / "delivery", folder / "truth", **parameters)
    with duckdb.connect() as connection:
        bank.prepare(connection)
    return bank


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> SyntheticBank:
    # The apostrophe tries the quoting of paths.
    return generate(tmp_path_factory.mktemp("o'bank"))


@pytest.fixture(scope="module")
def records(bank: SyntheticBank) -> Iterator[duckdb.DuckDBPyConnection]:
    yield from loaded(bank)


@pytest.fixture(scope="module")
def with_dollars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The records of a bank with accounts in dollars."""
    folder = tmp_path_factory.mktemp("dollars")
    yield from loaded(generate(folder, customers=400, months=15, foreign_accounts=True))


def loaded(bank: SyntheticBank) -> Iterator[duckdb.DuckDBPyConnection]:
    """A table for each delivered one; `booking`: the good bookings only, with their month."""
    with duckdb.connect() as connection:
        files = bank.files(connection)
        for table in {file.table for file in files}:
            parts = " union all ".join(
                f"select *, '{file.path.stem}' as _stem from ({file.relation})"
                for file in files
                if file.table == table
            )
            connection.execute(f'create table "{table}" as {parts}')
        connection.execute(f"""
            create table planted as from '{_sql(bank.truth / "planted_defect.parquet")}'""")
        connection.execute(f"""
            create table expected as from '{_sql(bank.truth / "customer_month.parquet")}'""")
        connection.execute(f"""
            create table uplift as from '{_sql(bank.truth / "uplift.parquet")}'""")
        connection.execute("""
            create table booking as
            select transaction.*, date_trunc('month', booked_on)::date as month
            from transaction anti join planted
                on planted.table_name = 'transaction'
                and planted.file = 'transaction/' || _stem || '.parquet'
                and planted.row_number = transaction._row""")
        yield connection


def _sql(path: Path) -> str:
    return str(path).replace("'", "''")


def one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    (value,) = connection.execute(query).fetchall()[0]
    return int(value)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    bank: SyntheticBank, tmp_path: Path
) -> None:
    again = generate(tmp_path / "again")
    assert contents(again.delivery) == contents(bank.delivery)
    assert contents(again.truth) == contents(bank.truth)
    other = generate(tmp_path / "other", seed=SEED + 1)
    booked = "transaction/2023-01.parquet"
    assert contents(other.delivery)[booked] != contents(bank.delivery)[booked]


def test_every_table_of_the_contract_is_delivered_in_its_columns_and_types(
    bank: SyntheticBank,
) -> None:
    with duckdb.connect() as connection:
        files = bank.files(connection)
        assert {file.table for file in files} == {table.name for table in TABLES}
        for file in files:
            table = BY_NAME[file.table]
            described = connection.execute(f"describe {file.relation}").fetchall()
            assert {row[0]: row[1] for row in described} == {
                **{column.name: column.type for column in table.columns},
                "_row": "BIGINT",
            }, file.path.name
            assert file.columns == table.column_names


def test_the_delivery_holds_only_the_contract_and_the_truth_stays_apart(
    bank: SyntheticBank,
) -> None:
    with duckdb.connect() as connection:
        known = {file.path for file in bank.files(connection)}
    found = {path for path in bank.delivery.rglob("*") if path.is_file()}
    assert found - known == {bank.delivery / MARKER}
    assert {path.name for path in bank.truth.iterdir()} == {
        "customer_month.parquet",
        "uplift.parquet",
        "offer.parquet",
        "planted_defect.parquet",
        "planted_anomaly.parquet",
        MARKER,
    }


def test_customer_extracts_are_stamped_and_show_changes(
    bank: SyntheticBank, records: duckdb.DuckDBPyConnection
) -> None:
    stamps = [file.extract_month for file in bank.files(records) if file.table == "customer"]
    assert stamps == sorted(
        [date(2023, 1, 1)] + [date(y, m, 1) for y in (2023, 2024, 2025) for m in (3, 6, 9, 12)]
    )
    assert one(records, "select count(distinct customer_id) from customer") == CUSTOMERS
    for attribute in ("occupation", "monthly_income", "marital_status", "marketing_consent"):
        changed = one(
            records,
            f"""select count(*) from (select customer_id from customer
                group by 1 having count(distinct {attribute}) > 1)""",
        )
        assert changed > 0, attribute
    late = "select count(*) from customer where customer_since > last_day((_stem || '-01')::date)"
    assert one(records, late) == 0


def test_a_firm_has_a_business_and_nothing_of_a_person(
    records: duckdb.DuckDBPyConnection,
) -> None:
    records.execute("""
        create or replace table firm as
        select distinct customer_id from customer
        where customer_kind in ('small_business', 'corporate')""")
    assert 0.02 * CUSTOMERS <= one(records, "select count(*) from firm") <= 0.04 * CUSTOMERS
    extracts = one(records, "select count(*) from firm join customer using (customer_id)")
    personal = ("birth_date", "sex", "education", "occupation", "marital_status", "household_id")
    for columns, filled in (
        ((*personal, "national_id"), 0),
        (("industry", "company_size", "group_id", "monthly_income"), extracts),
    ):
        for column in columns:
            count = f"select count({column}) from firm join customer using (customer_id)"
            assert one(records, count) == filled, column
    differing = """select count(*) from customer where is_inclusive_finance
        <> coalesce(company_size in ('micro', 'small'), false)"""
    assert one(records, differing) == 0
    # A person or another firm of the bank owns some.
    owned = """select count(*) from (select group_id from customer where group_id in (
            select group_id from customer where customer_kind in ('small_business', 'corporate'))
        group by 1 having count(distinct customer_id) > 1)"""
    assert one(records, owned) > 0
    contacted = "select count(*) from contact join firm using (customer_id)"
    assert one(records, contacted) == 0


def test_a_firm_receives_revenue_and_pays_wages_and_suppliers(
    records: duckdb.DuckDBPyConnection,
) -> None:
    of_firms = """from booking join account using (account_id)
        join account_holder using (account_id) join (
            select distinct customer_id from customer
            where customer_kind in ('small_business', 'corporate')) using (customer_id)
        where role = 'owner'"""
    # Revenue is two and a half times what is left of it when wages are paid.
    wages = f"""select count(*), count(*) filter (abs(2.5 * paid - 1.5 * received) > 0.02) from (
        select account_id, month,
            sum(amount) filter (counterparty_account like '00005%') as received,
            -sum(amount) filter (counterparty_account like '00003%') as paid
        {of_firms} and product_id = 'CURRENT' group by all having paid is not null)"""
    months, uneven = records.execute(wages).fetchall()[0]
    assert months > 100 and uneven == 0
    kinds = records.execute(f"select distinct kind {of_firms}").fetchall()
    assert not {kind for (kind,) in kinds} & {"salary", "pension", "withdrawal", "card_payment"}
    products = records.execute(f"select distinct left(product_id, 4) {of_firms}").fetchall()
    names = {name for (name,) in products}
    assert {"CURR", "SAVI"} <= names <= {"CURR", "SAVI", "TERM", "OVER", "BUSI", "PAYM"}


def test_a_wealth_product_is_redeemed_on_its_day_and_no_money_of_it_is_the_banks(
    records: duckdb.DuckDBPyConnection,
) -> None:
    records.execute("""
        create or replace table wealth as
        select account.*, day(opened_on) as opened_day from account
        where product_id in ('WEALTH06', 'WEALTH12')""")
    terms = "select list(distinct term_months order by term_months) from wealth"
    assert records.execute(terms).fetchall() == [([6, 12],)]
    # The bank closes an account earlier only for a customer who leaves, without a redemption.
    wrong = """select count(*) from wealth join booking using (account_id)
        where kind = 'sale' and (booked_on <> matures_on or closed_on <> matures_on)
            or matures_on <> opened_on + to_months(term_months)
            or kind in ('interest_paid', 'interest_charged') or interest_rate is not null"""
    assert one(records, wrong) == 0
    late = "select count(*) from wealth where matures_on < coalesce(closed_on, '2025-12-31')"
    assert one(records, late) == 0
    # Bookings of a day leave nothing on the account.
    rest = """select count(*) from (select sum(amount) as rest from wealth
        join booking using (account_id) group by account_id, booked_on) where rest <> 0"""
    assert one(records, rest) == 0
    # A return of 2.5 % and a fee of 0.9 % of what was invested, both for the term.
    redeemed = """select count(*), count(*) filter (abs(
            fee - received * 0.009 * term_months / (12 + 0.025 * term_months)) > 0.01)
        from (select account_id, any_value(term_months) as term_months,
            sum(amount) filter (kind = 'sale')::double as received,
            -sum(amount) filter (kind = 'fee')::double as fee
            from wealth join booking using (account_id) group by 1)
        where received is not null"""
    redemptions, uneven = records.execute(redeemed).fetchall()[0]
    assert redemptions > 10 and uneven == 0


def test_every_account_has_one_known_owner(records: duckdb.DuckDBPyConnection) -> None:
    owners = """select count(*) from (
        select account_id, count(*) filter (where role = 'owner') as owners
        from account left join account_holder using (account_id) group by 1) where owners <> 1"""
    assert one(records, owners) == 0
    unknown = "select count(*) from account_holder anti join customer using (customer_id)"
    assert one(records, unknown) == 0
    assert one(records, "select count(*) from account_holder where role = 'joint'") > 0


def test_balances_chain_from_booking_to_booking(records: duckdb.DuckDBPyConnection) -> None:
    broken = """select count(*) from (
        select amount, balance_after, opened_on,
            lag(balance_after) over (partition by account_id order by transaction_id) as before,
        from booking join account using (account_id))
        where balance_after <> amount + coalesce(
            before, case when opened_on >= date '2023-01-01' then 0 else balance_after - amount end
        )"""
    assert one(records, broken) == 0
    order = """select count(*) from (select booked_on < lag(booked_on) over (
        partition by account_id order by transaction_id) as back from booking) where back"""
    assert one(records, order) == 0


def test_no_booking_lies_before_opening_or_after_closing(
    records: duckdb.DuckDBPyConnection,
) -> None:
    outside = """select count(*) from booking join account using (account_id)
        where booked_on < opened_on or booked_on > closed_on"""
    assert one(records, outside) == 0
    left = """select count(*) from (
        select account_id, max_by(balance_after, transaction_id) as rest from booking group by 1)
        join account using (account_id) where closed_on is not null and rest <> 0"""
    assert one(records, left) == 0
    assert one(records, "select count(*) from account where closed_on is not null") > 20


def test_an_account_from_before_shows_its_opening_balance_in_the_first_month(
    records: duckdb.DuckDBPyConnection,
) -> None:
    """Otherwise its balance in the months before its first booking would be unknown."""
    late = """select count(*) from (
        select account_id, min(booked_on) as first_on,
            min_by(balance_after - amount, transaction_id) as opening from booking group by 1)
        join account using (account_id)
        where opened_on < date '2023-01-01' and opening <> 0 and first_on > date '2023-01-31'"""
    assert one(records, late) == 0


@pytest.mark.parametrize(("bank_of", "months"), [("records", MONTHS), ("with_dollars", 15)])
def test_the_ledger_reconciles_with_the_bookings_to_the_cent(
    bank_of: str, months: int, request: pytest.FixtureRequest
) -> None:
    """By item. Bookings in dollars count at the month's average rate, summed by account, channel
    and kind; balances at the closing rate, by account."""
    records: duckdb.DuckDBPyConnection = request.getfixturevalue(bank_of)

    def euros(amount: str, rate: str) -> str:
        return f"round({amount} * coalesce({rate}::decimal(18, 8), 1), 2)::decimal(18, 2)"

    flows = f"""
        select month, branch_id, product_line, ledger_account, sum(value) as amount from (
            select booking.month, branch_id, product_line,
                case kind when 'interest_charged' then 'interest_income'
                    when 'interest_paid' then 'interest_expense' else 'fee_income' end
                    as ledger_account,
                {
        euros(
            "sum(case kind when 'interest_paid' then amount else -amount end)",
            "average_rate",
        )
    } as value
            from booking join account using (account_id) join product using (product_id)
            left join fx_rate
                on fx_rate.currency = account.currency and fx_rate.month = booking.month
            where kind in ('interest_charged', 'interest_paid', 'fee', 'penalty')
            group by booking.month, branch_id, product_line, account_id, channel, kind,
                average_rate)
        group by all having sum(value) <> 0"""
    balances = f"""
        select months.month, branch_id, product_line, 'customer_balance',
            sum({euros("(opening + booked)", "closing_rate")})
        from (
            select account_id, min_by(balance_after - amount, transaction_id) as opening,
                min(month) as first_month from booking group by 1
        ) as begun
        cross join (select distinct month from booking) as months
        join lateral (
            select coalesce(sum(amount), 0) as booked from booking
            where booking.account_id = begun.account_id and booking.month <= months.month
        ) on true
        join account using (account_id) join product using (product_id)
        left join fx_rate
            on fx_rate.currency = account.currency and fx_rate.month = months.month
        where months.month >= begun.first_month group by all having sum(opening + booked) <> 0"""
    items = f"""
        select account_result.month, branch_id, product_line, item,
            sum({euros("amount", "average_rate")})
        from account_result
        join account using (account_id) join product using (product_id)
        left join fx_rate
            on fx_rate.currency = account.currency and fx_rate.month = account_result.month
        anti join planted on table_name = 'account_result' and row_number = account_result._row
        group by all having sum(amount) <> 0"""
    adjusted = "select month, branch_id, product_line, item, amount from adjustment"
    good = """select month, branch_id, product_line, ledger_account, amount from ledger
        anti join planted on planted.table_name = 'ledger' and planted.row_number = ledger._row
        where amount <> 0 and ledger_account <> 'operating_cost'"""
    made = f"""
        select month, branch_id, product_line, ledger_account, sum(amount)
        from ({flows} union all {balances} union all {items} union all {adjusted})
        group by all having sum(amount) <> 0"""
    assert one(records, f"select count(*) from (({good}) except ({made}))") == 0
    assert one(records, f"select count(*) from (({made}) except ({good}))") == 0
    assert one(records, f"select count(*) from ({good})") > 500
    quarters = "select count(distinct month) from adjustment where maker <> checker"
    assert one(records, quarters) == months // 3
    items_in_dollars = """select count(distinct (product_id, kind)) from booking
        join account using (account_id) where currency = 'USD' and kind = 'interest_paid'"""
    assert (one(records, items_in_dollars) > 1) == (bank_of == "with_dollars")


def test_one_in_twenty_savings_accounts_and_term_deposits_is_in_dollars(
    records: duckdb.DuckDBPyConnection, with_dollars: duckdb.DuckDBPyConnection
) -> None:
    assert one(records, "select count(*) from account where currency <> 'EUR'") == 0
    foreign = """select count(*) filter (currency = 'USD' and may_be), count(*) filter (may_be),
            count(*) filter (currency <> 'EUR' and not may_be)
        from (select currency, product_id = 'SAVINGS' or product_id like 'TERM%' as may_be
            from account)"""
    dollars, both, elsewhere = with_dollars.execute(foreign).fetchall()[0]
    assert 0.02 < dollars / both < 0.09 and elsewhere == 0


def test_both_sides_of_a_transfer_between_euros_and_dollars_agree_in_value(
    with_dollars: duckdb.DuckDBPyConnection,
) -> None:
    """Each is translated alone at the month's average rate. The counterparty is the place of the
    account, which is its number less one."""
    pairs = """
        with own as (
            select booking.*, account.currency, right(account_id, 8)::int - 1 as place,
                counterparty_account::int as other,
                round(amount * coalesce(average_rate::decimal(18, 8), 1), 2) as euros
            from booking join account using (account_id) left join fx_rate
                on fx_rate.currency = account.currency and fx_rate.month = booking.month
            where counterparty_bank = 'JINGXI'
        )
        select count(*), count(*) filter (gave.euros <> -took.euros), count(distinct gave.currency)
        from own as gave join own as took on gave.place = took.other and gave.other = took.place
            and gave.booked_on = took.booked_on
        where gave.amount < 0 and took.amount > 0 and gave.currency <> took.currency"""
    transfers, differing, ways = with_dollars.execute(pairs).fetchall()[0]
    assert transfers > 30 and differing == 0 and ways == 2


def test_loan_status_agrees_with_the_loan_account(records: duckdb.DuckDBPyConnection) -> None:
    differing = """
        with closing as (
            select account_id, month, max_by(balance_after, transaction_id) as balance
            from booking group by all
        )
        select count(*) from loan_status join loan using (loan_id) join closing
            on closing.account_id = loan.account_id and closing.month = loan_status.month
        anti join planted on table_name = 'loan_status'
            and file = 'loan_status/' || loan_status._stem || '.parquet'
            and row_number = loan_status._row
        where outstanding <> -balance"""
    assert one(records, differing) == 0
    assert one(records, "select count(*) from loan_status where days_past_due > 0") > 0


def test_arms_are_drawn_with_their_assignment_probability(
    records: duckdb.DuckDBPyConnection,
) -> None:
    rows = records.execute("""
        select (arm = 'treatment')::int,
            case arm when 'treatment' then assignment_probability
                else 1 - assignment_probability end
        from contact anti join planted on planted.table_name = 'contact'
            and planted.row_number = contact._row""").fetchall()
    treated, probability = np.array(rows).T
    assert len(rows) > 300
    spread = math.sqrt((probability * (1 - probability)).sum())
    assert abs(treated.sum() - probability.sum()) < 4.5 * spread
    assert len(set(probability)) > 1


def test_responses_follow_the_planted_probabilities_in_both_arms(
    records: duckdb.DuckDBPyConnection,
) -> None:
    for arm in ("treatment", "control"):
        rows = records.execute(f"""
            select (response.customer_id is not null)::int, response_probability_{arm}
            from contact join uplift using (campaign_id, customer_id)
            left join response using (campaign_id, customer_id) where arm = '{arm}'""").fetchall()
        answered, probability = np.array(rows).T
        spread = math.sqrt((probability * (1 - probability)).sum())
        assert abs(answered.sum() - probability.sum()) < 4.5 * spread + 1, arm
    shares = records.execute(
        "select avg((uplift < 0)::int), avg(uplift), count(distinct product_id) from uplift"
    ).fetchall()
    negative, mean, offers = shares[0]
    assert 0.02 < negative < 0.5 and mean > 0 and offers >= 4


def test_a_response_comes_within_sixty_days_and_opens_the_offered_product(
    records: duckdb.DuckDBPyConnection,
) -> None:
    wrong = """select count(*) from response
        join contact using (campaign_id, customer_id) join campaign using (campaign_id)
        join account on account.account_id = response.account_id
        where responded_on not between contacted_on + 1 and contacted_on + 60
            or opened_on <> responded_on
            or left(account.product_id, 4) <> left(campaign.product_id, 4)"""
    assert one(records, wrong) == 0
    assert one(records, "select count(*) from response") > 10


def test_landing_finds_exactly_the_planted_defects(bank: SyntheticBank, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        first, last = date(2023, 1, 1), date(2025, 12, 1)
        summary = land(
            connection, bank, Window(first, first, last, date(2025, 12, 31)), tmp_path, b"k" * 32
        )
        assert {table.table_name for table in summary.tables if table.quarantined} <= set(EVENTS)
        found = {
            (name, *row)
            for name in EVENTS
            for row in connection.execute(
                f'select file, row_number, rule, column_name from quarantine."{name}"'
            ).fetchall()
        }
        planted = connection.execute(f"""
            select table_name, file, row_number, rule, column_name
            from '{_sql(bank.truth / "planted_defect.parquet")}'""").fetchall()
        assert found == set(planted)
        assert {row[3] for row in planted} >= {"duplicate_row", "reference", "required"}
        high = connection.execute("""select count(*) from meta.quarantine_share
            where quarantined_rows > 0.5 * tolerated_share * rows""").fetchall()
        assert high == [(0,)]


def test_the_truth_ranks_the_customers_of_the_next_year(
    records: duckdb.DuckDBPyConnection,
) -> None:
    """Interest margin, fees and expected loss of 2025 by plain SQL, against the expectation of
    December 2024 and against 2024 itself. A default is lost in its month: without the loss, which
    the expectation counts, customers who borrow and cannot pay would seem worth their margin."""
    rows = records.execute("""
        with flow as (
            select account_id, month, sum(amount) as net,
                sum(amount * (day(last_day(month)) - day(booked_on) + 1)) as weighted,
                sum(amount) filter (where kind like 'interest%') as interest,
                -sum(amount) filter (where kind in ('fee', 'penalty')) as fees,
                min_by(balance_after - amount, transaction_id) as opening
            from booking group by all
        ),
        margin as (
            select account_id, month,
                (opening * day(last_day(month)) + weighted)
                    * case product_line when 'deposits' then 0.030 when 'lending' then 0.033
                        when 'cards' then 0.033 else 0 end / 365
                - coalesce(interest, 0) + coalesce(fees, 0) as value
            from flow join account using (account_id) join product using (product_id)
            union all
            select account_id, loan_status.month, -0.45 * outstanding * case
                when days_past_due < 30 then 0.01 / 12 when days_past_due < 60 then 0.20 / 12
                when days_past_due < 90 then 0.45 / 12
                when lag(days_past_due) over (partition by loan_id order by loan_status.month) < 90
                then 1 else 0 end
            from loan_status join loan using (loan_id)
            anti join planted on table_name = 'loan_status'
                and file = 'loan_status/' || loan_status._stem || '.parquet'
                and row_number = loan_status._row
        ),
        share as (
            select account_id, customer_id, 1 / count(*) over (partition by account_id) as share
            from account_holder where role <> 'authorised'
        ),
        year_value as (
            select customer_id,
                sum(value * share) filter (where year(month) = 2024) as last_year,
                sum(value * share) filter (where year(month) = 2025) as next_year
            from margin join share using (account_id) group by 1
        )
        select expected_contribution_12m, coalesce(last_year, 0), coalesce(next_year, 0)
        from expected left join year_value using (customer_id)
        where expected.month = date '2024-12-01' and expected_contribution_12m <> 0""").fetchall()
    truth, rule, realised = np.array(rows, dtype=float).T
    reached = spearmanr(truth, realised).statistic
    assert reached > 0.75
    assert reached > spearmanr(rule, realised).statistic
    top = np.sort(realised)[-len(realised) // 10 :].sum() / realised.sum()
    assert top > 0.35, "value is heavy-tailed"


@pytest.mark.slow
def test_borrowers_without_arrears_default_as_often_as_the_truth_expects(tmp_path: Path) -> None:
    """With few bookings, infrequent buyers overdraw the account most and make half of the defaults.
    The years follow each other, so that no default counts twice."""
    bank = generate(tmp_path, customers=2_000, months=37, bookings_per_month=4)
    with duckdb.connect() as connection:
        rows = connection.execute(f"""
            with borrower as (
                select customer_id, loan_status.month, max(days_past_due) as days_past_due
                from '{_sql(bank.delivery)}/loan_status/*.parquet' as loan_status
                join '{_sql(bank.delivery)}/loan.parquet' using (loan_id)
                join '{_sql(bank.delivery)}/account_holder.parquet' using (account_id)
                where role = 'owner' group by all
            )
            select 1 - (1 - default_hazard) ** 12, exists (
                from borrower as later where later.customer_id = borrower.customer_id
                and later.month > borrower.month
                and later.month <= borrower.month + interval 12 months
                and later.days_past_due >= 90)
            from borrower
            join '{_sql(bank.truth)}/customer_month.parquet' using (customer_id, month)
            where days_past_due = 0 and month(month) = 1 and year(month) < 2026""").fetchall()
    expected, defaulted = np.array(rows, dtype=float).T
    assert expected.sum() > 10
    spread = math.sqrt((expected * (1 - expected)).sum())
    assert abs(defaulted.sum() - expected.sum()) < 3 * spread


def test_months_set_the_length_of_the_history(tmp_path: Path) -> None:
    short = generate(tmp_path, customers=60, months=4)
    with duckdb.connect() as connection:
        files = short.files(connection)
    stems = {
        table: [file.path.stem for file in files if file.table == table]
        for table in ("transaction", "customer", "loan_status")
    }
    months = ["2023-01", "2023-02", "2023-03", "2023-04"]
    assert stems["transaction"] == months
    assert stems["loan_status"] == months
    assert stems["customer"] == ["2023-01", "2023-03", "2023-04"]


def test_a_bank_in_place_is_not_generated_again_and_another_replaces_it(tmp_path: Path) -> None:
    bank = generate(tmp_path, customers=60, months=2)
    kept = bank.delivery / "transaction" / "2023-01.parquet"
    before = kept.stat()
    generate(tmp_path, customers=60, months=2)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    # A run that was killed leaves its unfinished folder beside; the next one clears it away.
    (tmp_path / ".delivery.partial").mkdir()
    (tmp_path / ".delivery.partial" / "rest").touch()
    other = generate(tmp_path, customers=60, months=1)
    assert not (other.delivery / "transaction" / "2023-02.parquet").exists()
    assert json.loads((other.truth / MARKER).read_text())["identity"] == other.identity
    assert {path.name for path in tmp_path.iterdir()} == {"delivery", "truth"}


def test_foreign_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "delivery").mkdir()
    mine = tmp_path / "delivery" / "notes.txt"
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="did not write"):
        generate(tmp_path, customers=60, months=1)
    assert mine.read_text() == "mine"


def test_running_balances_follow_the_order_of_the_bookings() -> None:
    book = Bookings()
    book.add(np.array([0, 1]), 5, np.array([100, -30]), "deposit", "branch")
    book.add(np.array([0]), 2, -40, "withdrawal", "atm")
    book.add(np.array([0]), 5, -1, "fee", "system")
    assert book.day_sum(10, np.array([1_000, 0, 7])).tolist() == [
        10_000 + 100 * 6 - 40 * 9 - 1 * 6,
        -30 * 6,
        70,
    ]
    settled, closing = book.settle(np.array([1_000, 0, 7]))
    assert settled.day.tolist() == [2, 5, 5, 5]
    assert settled.account.tolist() == [0, 0, 1, 0]
    assert settled.balance_after.tolist() == [960, 1_060, -30, 1_059]
    assert closing.tolist() == [1_059, -30, 7]
