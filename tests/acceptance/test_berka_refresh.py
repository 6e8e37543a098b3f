"""The refresh on a real bank's files, beside plain SQL over the raw files."""

import duckdb
import pytest

from tests.conftest import real_data

pytestmark = pytest.mark.slow

AS_OF = "1994-03-31"


@pytest.fixture(scope="module")
def raw():
    """The raw files as text tables, read by nothing of the project."""
    folder = real_data("berka")
    with duckdb.connect() as connection:
        for name in ("account", "client", "disp", "trans", "card", "loan"):
            connection.execute(
                f"create table {name} as from read_csv('{folder}/{name}.asc', delim = ';', "
                "header = true, quote = '\"', all_varchar = true)"
            )
        connection.execute(
            "create macro day(text) as cast(strptime('19' || text[1:6], '%Y%m%d') as date)"
        )
        yield connection


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory, command):
    folder = real_data("berka")
    home = tmp_path_factory.mktemp("berka")
    result = command(home, "refresh", source="berka", source_path=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return home, result.stdout


@pytest.fixture(scope="module")
def release(refreshed):
    home, _ = refreshed
    with duckdb.connect(str(home / "published" / "current.duckdb"), read_only=True) as connection:
        yield connection


def rows(connection, sql):
    return connection.execute(sql).fetchall()


def test_profit_reconciles_to_the_cent_in_every_month_and_dimension(raw, release):
    assert rows(release, "select count(*) from value.reconciliation where difference <> 0") == [
        (0,)
    ]
    months = rows(
        release,
        "select dimension, count(distinct month) from value.reconciliation group by all order by 1",
    )
    assert len(months) == 21 and {count for _, count in months} == {15}
    # The bank's own records, by another way: interest by booking symbol, over all months.
    ((interest,),) = rows(
        raw, "select sum(amount::decimal(18, 2)) from trans where k_symbol = 'UROK'"
    )
    assert rows(release, "select sum(interest_expense) from value.account_month") == [(interest,)]
    assert rows(
        release,
        "select sum(net_interest_margin) + (select sum(amount) from value.residual "
        "where residual like 'treasury: %') from value.profit_by_customer",
    ) == rows(release, "select sum(interest_income - interest_expense) from value.account_month")


def test_the_release_is_as_of_the_month_of_the_last_booking(release):
    assert rows(release, "select as_of, source from meta.release") == [("1994-03", "berka")]


def test_customers_hold_an_account_opened_by_the_as_of_date(raw, release):
    wanted = rows(
        raw,
        "select distinct disp.client_id from disp join account using (account_id) "
        f"where day(account.date) <= date '{AS_OF}' order by all",
    )
    assert len(wanted) > 1000
    assert rows(release, "select customer_id from base.customer order by all") == wanted


def test_accounts_are_those_opened_by_the_as_of_date(raw, release):
    wanted = rows(
        raw, f"select account_id from account where day(date) <= date '{AS_OF}' order by all"
    )
    assert len(wanted) == 1229
    assert rows(release, "select account_id from base.account order by all") == wanted


def test_every_booking_is_landed_and_counted_once(raw, release):
    wanted = rows(raw, "select count(*), count(distinct trans_id) from trans")
    assert wanted == [(46997, 46997)]
    assert rows(
        release,
        "select sum(landed)::bigint, sum(quarantined)::bigint from meta.input_file "
        "where table_name = 'transaction'",
    ) == [(46997, 0)]
    assert rows(release, "select sum(transaction_count)::bigint from base.account") == [(46997,)]


def test_closing_balances_are_the_sums_of_the_raw_bookings_to_the_cent(raw, release):
    wanted = rows(
        raw,
        """
        select
            account.account_id,
            coalesce(sum(
                case when trans.type = 'PRIJEM' then 1 else -1 end
                * cast(trans.amount as decimal(18, 2))
            ), 0)
        from account
        left join trans using (account_id)
        where day(account.date) <= date '1994-03-31'
        group by all
        order by all
        """,
    )
    found = rows(release, "select account_id, closing_balance from base.account order by all")
    assert found == wanted
    at_month_end = rows(
        release,
        "select account_id, closing_balance from value.account_month "
        "where month = date '1994-03-01' order by all",
    )
    assert at_month_end == wanted


def test_closing_balances_agree_with_the_banks_own_rounded_to_ten_hellers(raw, release):
    """The bank's balance of the last day, whichever booking of that day was its last."""
    own = dict[str, list](
        rows(
            raw,
            """
            select account_id, list(cast(balance as decimal(18, 2)))
            from (from trans qualify date = max(date) over (partition by account_id))
            group by account_id
            """,
        )
    )
    found = dict(rows(release, "select account_id, closing_balance from base.account"))
    furthest = max(
        min(abs(found[account] - balance) for balance in own[account]) for account in own
    )
    assert furthest < 1


def test_no_row_dated_after_the_as_of_date_appears(raw, refreshed, release):
    home, _ = refreshed
    later = rows(
        raw,
        f"select (select count(*) from loan where day(date) > date '{AS_OF}'), "
        f"(select count(*) from card where day(issued) > date '{AS_OF}'), "
        f"(select count(*) from account where day(date) > date '{AS_OF}')",
    )
    assert min(later[0]) > 100
    with duckdb.connect(str(home / "build" / "warehouse.duckdb"), read_only=True) as connection:
        for table, key, date in (
            ("loan", "loan_id", "granted_on"),
            ("card", "card_id", "issued_on"),
            ("account", "account_id", "opened_on"),
        ):
            raw_date = "issued" if table == "card" else "date"
            wanted = rows(
                raw,
                f"select {key} from {table} where day({raw_date}) <= date '{AS_OF}' order by all",
            )
            assert rows(connection, f"select {key} from landing.{table} order by all") == wanted
            assert rows(
                connection, f"select count(*) from landing.{table} where {date} > date '{AS_OF}'"
            ) == [(0,)]
    dated = rows(
        release,
        "select table_schema, table_name, column_name from information_schema.columns "
        "where data_type = 'DATE' and table_schema in ('base', 'value', 'scores')",
    )
    assert dated
    for schema, table, column in dated:
        ((latest,),) = rows(release, f"select max({column})::varchar from {schema}.{table}")
        assert latest is None or latest <= AS_OF, f"{schema}.{table}.{column} reaches {latest}"


def test_women_and_birth_dates_are_read_from_the_birth_number(raw, release):
    wanted = rows(
        raw,
        """
        select client_id, '19' || birth_number[1:2] || '-'
            || lpad(cast(if(month > 50, month - 50, month) as varchar), 2, '0')
            || '-' || birth_number[5:6], if(month > 50, 'female', 'male')
        from (select *, cast(birth_number[3:4] as integer) as month from client)
        order by all
        """,
    )
    found = rows(
        release, "select customer_id, birth_date::varchar, sex from base.customer order by all"
    )
    assert len(found) > 1000
    assert set(found) <= set(wanted)


def test_the_summary_names_what_a_short_history_and_missing_campaigns_switch_off(
    raw, refreshed, release
):
    """No account is ever closed here, no default recorded by month, nobody contacted."""
    _, summary = refreshed
    off = dict(
        rows(release, "select model_name, note from meta.model_version where version is null")
    )
    assert off.keys() - {"high_value"} == {
        *("attrition", "default", "product_value", "response", "uplift"),
    }
    for name, note in off.items():
        assert f"  {name:<14}off: {note[:60]}" in summary
    assert "0 events" in off["attrition"] and "0 events" in off["default"]
    assert "no campaign" in off["response"]
    for table in ("product_attrition", "account_default", "offer"):
        assert rows(release, f"select count(*) from scores.{table}") == [(0,)]
    assert rows(release, "select count(*) from alerts.credit") == [(0,)]
    assert rows(
        release,
        "select count(p_attrition), count(p_default), count(attrition_model_version), "
        "count(default_model_version) from scores.customer",
    ) == [(0, 0, 0, 0)]
    assert rows(
        release,
        "select distinct alias from meta.model_version where model_name in ('clv', 'segment')",
    ) == [("champion",)]
    # A person who may only sign for another's account holds none.
    owners = rows(
        raw,
        "select count(distinct client_id) from disp join account using (account_id) "
        f"where type = 'OWNER' and day(account.date) <= date '{AS_OF}'",
    )
    assert rows(release, "select count(segment) from scores.customer") == owners
    assert rows(release, "select count(*) - count(clv_12m) from scores.customer") == [(0,)]
    assert rows(
        release, "select horizon_months from meta.model_version where model_name = 'clv'"
    ) == [(6,)]
    assert "a horizon of 6 is used" in summary
    assert rows(
        release, "select count(*) = (select count(*) from base.customer) from scores.customer"
    ) == [(True,)]


def margins(connection):
    """Transfer price less the rate paid, in percentage points over twelve months."""
    return rows(
        connection,
        "select round(1200 * sum(transferred - interest)::double / sum(balance), 2) "
        "from value.customer_rate where is_paid and month > date '1994-03-01' - interval 12 month",
    )


def test_the_default_curve_is_contradicted_and_the_proposed_one_is_not(refreshed, release, command):
    """Depositors are paid more than the default curve: GV warns, and the curve that is proposed
    from their rates, valued as a scenario, passes the same limit and the check of its form."""
    home, summary = refreshed
    assert "GV warns: value.customer_rate: margin against the transfer price" in summary
    assert margins(release)[0][0] < -0.5
    result = command(home, "reference")
    assert result.returncode == 0, result.stderr
    assert "only one side is known" in (home / "reference_proposal" / "README.md").read_text()
    valued = command(
        home, "scenario", "--name", "proposed", reference_path=home / "reference_proposal"
    )
    assert valued.returncode == 0, valued.stderr
    kept = home / "scenarios" / "proposed" / "scenario.duckdb"
    with duckdb.connect(str(kept), read_only=True) as connection:
        assert abs(margins(connection)[0][0]) <= 0.1
