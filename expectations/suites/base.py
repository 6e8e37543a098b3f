"""G2: the customer information base against what landed and against the ledger."""

from __future__ import annotations

import duckdb

from expectations.rules import (
    AS_OF,
    PRESENT,
    RECONCILED,
    Profile,
    Rule,
    Suite,
    column_between,
    column_zero,
    row_count_at_least,
)
from expectations.suites.landing import CURRENT_ACCOUNT, CURRENT_HOLDER

# Figures of the base and the same figures from the landed records (or another base table), which
# must be equal.
COUNT = f"""
    with
    figure as (
        select
            'customers' as measure,
            'base.customer' as about,
            (
                select count(distinct holder.customer_id)
                from {CURRENT_HOLDER} as holder
                join {CURRENT_ACCOUNT} as account using (account_id)
            )::decimal(38, 2) as source,
            (select count(*) from base.customer)::decimal(38, 2) as built
        union all
        select
            'accounts',
            'base.account',
            (select count(*) from {CURRENT_ACCOUNT}),
            (select count(*) from base.account)
        union all
        select
            'bookings by account and month',
            'base.account_month',
            (select count(*) from landing.transaction),
            (select sum(bookings) from base.account_month)
        union all
        select
            'bookings by account',
            'base.account',
            (select count(*) from landing.transaction),
            (select sum(transaction_count) from base.account)
        union all
        select
            'movement by account and month',
            'base.account_month',
            (select coalesce(sum(amount), 0) from landing.transaction),
            (select sum(coalesce(foreign_booked_amount, booked_amount)) from base.account_month)
        union all
        select
            'movement by account',
            'base.account',
            (select coalesce(sum(amount), 0) from landing.transaction),
            (
                select sum(coalesce(closing_balance - opening_balance, booked_amount))
                from base.account
            )
        union all
        select
            'closing balance as of the date',
            'base.account',
            (
                select sum(last_closing) from (
                    select arg_max(coalesce(foreign_closing_balance, closing_balance), month)
                        as last_closing
                    from base.account_month group by account_id
                )
            ),
            (select sum(closing_balance) from base.account)
    )
    select measure, about, source, built, coalesce(built, 0) - coalesce(source, 0) as difference
    from figure
"""

# Two steps are meant: a balance brought from before the history is known from the first booking's
# month on, and a booking after the closing has a row of its own. Everything else is a break.
ACCOUNT_MONTH = """
    with
    ordered as (
        select
            built.account_id,
            built.month,
            built.opening_balance,
            built.closing_balance,
            built.booked_amount,
            built.revaluation,
            built.is_balance_known,
            built.bookings,
            lag(built.closing_balance) over so_far as closing_before,
            lag(built.month) over so_far as month_before,
            sum(built.bookings) over (
                so_far rows between unbounded preceding and 1 preceding
            ) as bookings_before,
            built.month <= coalesce(account.closed_on, built.month) as is_before_closing
        from base.account_month as built
        left join base.account as account on account.account_id = built.account_id
        window so_far as (partition by built.account_id order by built.month)
    ),
    built as (
        select
            month,
            count(*) as accounts,
            sum(opening_balance) as opening_balance,
            sum(closing_balance) as closing_balance,
            sum(bookings) as bookings,
            count(*) filter (bookings_before > 0 and closing_before <> opening_balance)
                as balance_breaks,
            count(*) filter (not is_balance_known) as balances_unknown,
            count(*) filter (closing_balance - opening_balance - revaluation <> booked_amount)
                as balances_not_booked,
            count(*) filter (
                is_before_closing and month_before <> (month - interval 1 month)::date
            ) as month_gaps
        from ordered
        group by month
    ),
    landed as (select month, count(*) as bookings from landing.transaction group by month)
    select
        coalesce(built.month, landed.month) as month,
        coalesce(built.accounts, 0) as accounts,
        built.opening_balance,
        built.closing_balance,
        coalesce(built.bookings, 0) as bookings,
        coalesce(landed.bookings, 0) as bookings_landed,
        coalesce(built.bookings, 0) - coalesce(landed.bookings, 0) as bookings_difference,
        coalesce(built.balance_breaks, 0) as balance_breaks,
        coalesce(built.month_gaps, 0) as month_gaps,
        coalesce(built.balances_unknown, 0) as balances_unknown,
        coalesce(built.balances_not_booked, 0) as balances_not_booked
    from built
    full join landed on landed.month = built.month
    order by month
"""

CUSTOMER_MONTH = """
    with
    as_of_month as (
        select date_trunc('month', max(as_of))::date as month from landing.refresh_window
    ),
    spell as (
        select
            customer_id,
            count(*) as months,
            min(month) as first_month,
            max(month) as last_month
        from base.customer_month
        group by customer_id
    )
    select
        (select count(*) from base.customer_month) as rows,
        (select count(*) from base.customer) as customers,
        (
            select count(*) from base.customer
            anti join spell on spell.customer_id = customer.customer_id
        ) as customers_without_months,
        (
            select count(*) from spell
            anti join base.customer as customer on customer.customer_id = spell.customer_id
        ) as unknown_customers,
        (
            select count(*) from spell
            where last_month is distinct from (select month from as_of_month)
        ) as ended_early,
        (
            select count(*) from spell
            where months <> date_diff('month', first_month, last_month) + 1
        ) as with_gaps
"""

KEYS = {
    "customer": ("customer_id",),
    "account": ("account_id",),
    "account_month": ("account_id", "month"),
    "customer_month": ("customer_id", "month"),
    "customer_history": ("customer_id", "valid_from"),
}


def _key_sql(connection: duckdb.DuckDBPyConnection) -> str:
    parts = []
    for table, key in KEYS.items():
        null = " or ".join(f"{column} is null" for column in key)
        parts.append(f"""
            select '{table}' as table_name, coalesce(sum(rows), 0)::bigint as rows,
                   coalesce(sum(rows) filter ({null}), 0)::bigint as null_keys,
                   coalesce(sum(rows - 1), 0)::bigint as duplicate_keys
            from (select {", ".join(key)}, count(*) as rows from base.{table} group by all)
        """)
    return " union all ".join(parts)


def _latest_date_sql(connection: duckdb.DuckDBPyConnection) -> str:
    # Dates that describe the future as known today (an end agreed, a validity's end) are no
    # knowledge of the future.
    columns = connection.execute(
        """
        select table_name, column_name from information_schema.columns
        where table_schema = 'base' and data_type in ('DATE', 'TIMESTAMP')
          and (column_name = 'month' or column_name = 'valid_from' or column_name like '%\\_on'
               escape '\\')
          and column_name not in ('ends_on', 'matures_on')
        order by all
        """
    ).fetchall()
    parts = [
        f"select '{table}' as table_name, '{table}.{column}' as column_name,"
        f" max({column})::date as latest from base.{table}"
        for table, column in columns
    ]
    return f"""
        with last_day as (select max(as_of) as as_of from landing.refresh_window)
        select
            table_name,
            column_name,
            latest,
            as_of,
            greatest(coalesce(latest - as_of, 0), 0) as days_after_as_of
        from ({" union all ".join(parts)}) cross join last_day
    """


# A ledger account that is not compared with bookings makes no month one with a ledger.
LEDGER = """
    with
    line as (
        select *, abs(difference) <= tolerance as holds, row_number() over (
            partition by month order by holds, abs(difference) desc, branch_id, product_line
        ) as place
        from base.ledger_reconciliation
    ),
    landed as (
        select month, count(*) as lines_missing from landing.ledger
        anti join base.ledger_reconciliation using (month, branch_id, product_line, ledger_account)
        where ledger_account <> 'operating_cost' group by month
    ),
    reconciled as (
        select
            month, count(*) as lines, sum(ledger) as ledger, sum(booked) as booked,
            count(*) filter (holds is not true) as lines_differing,
            count(*) filter (holds and difference <> 0) as lines_tolerated,
            'in all ' || sum(abs(difference)) filter (holds) || '; ' as tolerated,
            max(
                'largest: branch ' || coalesce(branch_id, 'none') || ', ' || product_line || ', '
                || ledger_account || ': ledger ' || coalesce(ledger::varchar, 'none')
                || ', booked ' || coalesce(booked::varchar, 'none')
                || if(adjustment <> 0, ', adjustment ' || adjustment, '')
                || if(tolerance <> 0, ', tolerance ' || tolerance, '')
            ) filter (place = 1 and difference <> 0) as detail
        from line group by month
    )
    select
        month,
        coalesce(lines, 0) as lines, ledger, booked,
        coalesce(lines_missing, 0) as lines_missing,
        coalesce(lines_differing, 0) as lines_differing,
        coalesce(lines_tolerated, 0) as lines_tolerated,
        if(lines_differing > 0, '', tolerated) || detail as detail
    from reconciled
    full join (select distinct month from base.account_month) using (month)
    left join landed using (month)
    order by month
"""


def base_suite() -> Suite:
    """G2. Reads `base.*`, `landing.*` and, where a ledger landed, `base.ledger_reconciliation`."""
    account_month = ("base.account_month", "landing.transaction")
    profiles: dict[str, Profile | str] = {
        "base_count": Profile(
            COUNT,
            key=("measure",),
            about="{about}",
            needs=(
                *account_month,
                "base.customer",
                "base.account",
                "landing.account",
                "landing.account_holder",
                "landing.refresh_window",
            ),
        ),
        "base_account_month": Profile(
            ACCOUNT_MONTH,
            key=("month",),
            about="base.account_month",
            needs=(*account_month, "base.account"),
        ),
        "base_customer_month": Profile(
            CUSTOMER_MONTH,
            about="base.customer_month",
            needs=("base.customer_month", "base.customer", "landing.refresh_window"),
        ),
        "base_key": Profile(
            _key_sql,
            key=("table_name",),
            about="base.{table_name}",
            needs=tuple(f"base.{table}" for table in KEYS),
        ),
        "base_latest_date": Profile(
            _latest_date_sql,
            key=("column_name",),
            about="base.{table_name}",
            needs=("base.account_month", "landing.refresh_window"),
        ),
        "base_ledger": Profile(
            LEDGER,
            key=("month",),
            about="base.ledger_reconciliation",
            needs=("base.ledger_reconciliation", "base.account_month", "landing.ledger"),
            off_without=("landing.ledger",),
            off_means="no ledger is delivered; source totals are reconciled instead",
        ),
    }
    rebuild = (
        "rebuild base for the whole history; if the difference remains, the base model and landing"
        " read different rows"
    )
    rules = (
        Rule(
            "base_count",
            column_zero("difference"),
            "fail",
            "customers, accounts, bookings and balances equal the landed records, to the cent",
            rebuild,
            binding=RECONCILED,
        ),
        Rule(
            "base_account_month",
            row_count_at_least(1),
            "fail",
            "base.account_month has rows",
            "check the log of step base",
            binding=PRESENT,
        ),
        Rule(
            "base_account_month",
            column_zero("balance_breaks"),
            "fail",
            "every account-month opens with the closing balance of the previous month",
            "rebuild base from the first month named on: a month was refreshed without the later"
            " ones",
            binding=RECONCILED,
        ),
        Rule(
            "base_account_month",
            column_zero("balances_unknown"),
            "warn",
            "the balance of every account is known",
            "deliver account_balance for the accounts opened before the history, or balance_after"
            " of their bookings; until then they have no balance, and averages leave them out",
            figure="accounts without a known balance in the worst month",
        ),
        Rule(
            "base_account_month",
            column_zero("balances_not_booked"),
            "warn",
            "delivered balances move as the bookings do",
            "compare account_balance with the bookings of the months named; the delivered balance"
            " holds",
            figure="accounts whose balance moves otherwise in the worst month",
        ),
        Rule(
            "base_account_month",
            column_zero("month_gaps"),
            "fail",
            "no account skips a month",
            rebuild,
            binding=RECONCILED,
        ),
        Rule(
            "base_account_month",
            column_zero("bookings_difference"),
            "fail",
            "every month holds exactly the bookings that landed for it",
            "refresh the months named",
            binding=RECONCILED,
        ),
        Rule(
            "base_customer_month",
            column_zero("customers_without_months"),
            "fail",
            "every customer has monthly rows",
            rebuild,
        ),
        Rule(
            "base_customer_month",
            column_zero("unknown_customers"),
            "fail",
            "every customer-month belongs to a customer of the base",
            rebuild,
        ),
        Rule(
            "base_customer_month",
            column_zero("ended_early"),
            "fail",
            "every customer's months reach the as-of month",
            rebuild,
        ),
        Rule(
            "base_customer_month",
            column_zero("with_gaps"),
            "fail",
            "no customer skips a month",
            rebuild,
        ),
        Rule(
            "base_key",
            column_between("rows", low=1),
            "fail",
            "no table of the base is empty",
            "check the log of step base",
            binding=PRESENT,
        ),
        Rule(
            "base_key",
            column_zero("null_keys"),
            "fail",
            "no key of the base is empty",
            rebuild,
            binding=RECONCILED,
        ),
        Rule(
            "base_key",
            column_zero("duplicate_keys"),
            "fail",
            "no key of the base occurs twice",
            rebuild,
            binding=RECONCILED,
        ),
        Rule(
            "base_latest_date",
            column_zero("days_after_as_of"),
            "fail",
            "nothing in the base is dated after the as-of date",
            "landing should leave out these rows: check the contract's dated_by and"
            " null_after_as_of for the column named",
            binding=AS_OF,
        ),
        Rule(
            "base_ledger",
            column_zero("lines_missing"),
            "fail",
            "the delivered ledger is reconciled",
            "check base.ledger_reconciliation: it lacks lines of the ledger that landed",
            binding=RECONCILED,
        ),
        Rule(
            "base_ledger",
            column_between("lines", low=1),
            "warn",
            "every month has a ledger",
            "deliver the ledger of the months named; until then they are not reconciled",
            figure="ledger lines",
        ),
        Rule(
            "base_ledger",
            column_zero("lines_differing"),
            "fail",
            "every ledger line equals the bookings, to the cent or within its tolerance",
            "compare the branch, line and ledger account named with quarantine.transaction: likely"
            " causes are quarantined or missing bookings, or a ledger of another closing. Deliver"
            " an adjustment for what no account has",
            binding=RECONCILED,
        ),
        Rule(
            "base_ledger",
            column_zero("lines_tolerated"),
            "warn",
            "no ledger line needs its tolerance",
            "correct the bookings or the ledger, or deliver an adjustment: see"
            " base.ledger_reconciliation where difference <> 0",
            figure="ledger lines within their tolerance",
        ),
    )
    return Suite("G2", "base", profiles, rules)
