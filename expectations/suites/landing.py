"""G1: the delivery, before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import duckdb

from expectations.rules import (
    PRESENT,
    Profile,
    Rule,
    Suite,
    column_between,
    column_zero,
    row_count_at_least,
)

REQUIRED_TABLES = ("customer", "account", "account_holder", "product", "transaction")

# A month below this share of the median of the three before it is incomplete. Growth only raises
# the ratio; the lowest of Berka's first fifteen months is at 0.71, half a file of a bank that grows
# by 5 % a month at 0.55.
LEAST_MONTH_RATIO = 0.6
# Amounts in a hundredth of the unit are a factor of 100 away. Berka's months, from 177 bookings
# to 9,139, stay within a factor of 1.8 of the others' median.
AMOUNT_FACTOR = 5.0
# Below this many bookings a month's ratios are chance.
LEAST_BOOKINGS = 100
LONGEST_SILENT_END = 7
LEAST_CHAINED_SHARE = 0.95
# A delivered balance may be rounded (Berka's to 0.10 a booking): absolute, or by turnover.
CHAIN_TOLERANCE = "1.00"
CHAIN_TOLERANCE_BY_TURNOVER = "0.0001"
LEAST_CHAINED_ACCOUNTS = 20
# Above this a fixed sample is checked: 36 million bookings of 200,000 accounts took 16 s and
# spilled to disk.
MOST_CHAINED_ACCOUNTS = 50_000
MOST_SHRINKAGE = 0.2
MOST_NULL_JUMP = 0.25
# Single bookings of the opposite sign are reversals: a refunded fee, a recalled payment.
MOST_TURNED_OF_KIND = 0.5
MOST_TURNED_OF_MONTH = 0.2
LEAST_OF_KIND = 20
MOST_WITHOUT_HOLDER = 0.01
MOST_WITHOUT_OWNER = 0.001
# Truncating a file of the whole history, ordered by account, leaves many accounts without bookings.
MOST_WITHOUT_BOOKING = 0.3

# The current state of a master is its latest extract.
CURRENT = """(
    select * from landing.{table}
    where extract_month = (select max(extract_month) from landing.{table})
)"""
UNSTAMPED = "date '1900-01-01'"
CURRENT_ACCOUNT = CURRENT.format(table="account")
CURRENT_PRODUCT = CURRENT.format(table="product")
CURRENT_HOLDER = CURRENT.format(table="account_holder")
CURRENT_CUSTOMER = CURRENT.format(table="customer")


def _tables(connection: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    found = connection.execute(
        "select table_name from information_schema.tables where table_schema = ? order by 1",
        [schema],
    ).fetchall()
    return [row[0] for row in found]


def _has_column(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    return bool(
        connection.execute(
            "select 1 from information_schema.columns"
            " where table_schema = 'landing' and table_name = ? and column_name = ?",
            [table, column],
        ).fetchall()
    )


def _table_sql(required: tuple[str, ...], optional: Mapping[str, Sequence[str]]):
    def sql(connection: duckdb.DuckDBPyConnection) -> str:
        present = [name for name in _tables(connection, "landing") if name != "refresh_window"]
        quarantined = _tables(connection, "quarantine")
        counts = []
        for name in sorted({*present, *required}):
            source = set_aside = "0"
            latest = ""
            relation = f'landing."{name}"'
            if name in present and _has_column(connection, name, "extract_month"):
                relation = CURRENT.format(table=f'"{name}"')
                source = f"(select count(*) from {relation})"
                # Quarantine has no month for a master's single extract.
                latest = (
                    "where month is not distinct from nullif("
                    f'(select max(extract_month) from landing."{name}"), {UNSTAMPED})'
                )
            elif name in present:
                source = f"(select count(*) from {relation})"
            lacking = ", ".join(
                f"case when not exists (from {relation} where {column} is not null) "
                f"then '{column}' end"
                for column in (optional.get(name, ()) if name in present else ())
            )
            if name in quarantined:
                set_aside = (
                    f'(select count(distinct (file, row_number)) from quarantine."{name}" {latest})'
                )
            counts.append(
                f"select '{name}' as table_name, {name in required} as required, {source} as rows, "
                f"{set_aside} as set_aside, nullif(concat_ws(',', null, {lacking or 'null'}), '') "
                "as lacking"
            )
        previous = "(select null::varchar as table_name, null::bigint as rows)"
        if "previous_release_count" in _tables(connection, "meta"):
            previous = "meta.previous_release_count"
        return f"""
            with counted as ({" union all ".join(counts)})
            select
                counted.* exclude (lacking),
                -- Columns without a value in any row.
                case when counted.rows > 0 then counted.lacking end as lacking,
                previous.rows as rows_before,
                -- What is in quarantine was delivered: that is a matter of another rule.
                (counted.rows + counted.set_aside) / nullif(previous.rows, 0) - 1 as change,
                (counted.required and counted.rows = 0)::integer as absent,
                case when counted.required then change end as required_change,
                case when not counted.required then change end as optional_change,
                counted.rows + counted.set_aside || ' row(s), ' || previous.rows
                || ' in the release before' as detail
            from counted
            left join {previous} as previous on previous.table_name = counted.table_name
            order by counted.table_name
        """

    return sql


def _quarantine_sql(connection: duckdb.DuckDBPyConnection) -> str:
    found = [
        f"""
        select '{name}' as table_name, rule, file, count(*) as rows, min(row_number) as first_row
        from quarantine."{name}" group by all
        """
        for name in _tables(connection, "quarantine")
    ]
    nothing = """
        select null::varchar as table_name, null::varchar as rule, null::varchar as file,
               0 as rows, 0 as first_row where false
    """
    return f"""
        with found as ({" union all ".join(found or [nothing])}),
        by_rule as (
            select
                table_name,
                rule,
                sum(rows)::bigint as rows,
                count(*) as files,
                -- The file with most of them; among equals the first, so that a text never changes.
                min({{'order': -rows, 'file': file, 'first_row': first_row}}) as fullest
            from found
            where rule <> 'parent_quarantined'
            group by table_name, rule
        ),
        code as (
            select
                table_name,
                string_agg(
                    ', ' || column_name || ' ' || detail || '; allowed: ' || allowed, ''
                    order by column_name
                ) as detail
            from meta.bad_code
            group by table_name
        ),
        described as (
            select
                by_rule.table_name,
                string_agg(
                    rule || ': ' || rows || ' row(s) in ' || fullest.file || ' (first: row '
                    || fullest.first_row || ')'
                    || case when files > 1 then ' and ' || files - 1 || ' more file(s)' else '' end
                    || case when rule = 'allowed_values' then coalesce(code.detail, '') else '' end,
                    '; ' order by rows desc, rule
                ) as detail
            from by_rule
            left join code on code.table_name = by_rule.table_name
            group by by_rule.table_name
        ),
        -- Rows that followed others into quarantine are one finding with those: beyond the
        -- tolerance of their own table they stand against the cause that took most of them along.
        followed as (
            select
                table_name,
                cause_table,
                cause_class,
                any_value(rows) as rows,
                sum(following_rows)::bigint as following_rows,
                greatest(any_value(quarantined_rows / rows - tolerated_share), 0.0) as above
            from meta.quarantine_following
            group by table_name, cause_table, cause_class
        ),
        following as (
            select
                cause_table,
                cause_class,
                max(above) filter (leads) as above,
                string_agg(
                    following_rows || ' of ' || rows || ' of ' || table_name, ', '
                    order by following_rows / rows desc, table_name
                ) as detail
            from (
                select *, row_number() over (
                    partition by table_name order by following_rows desc, cause_table, cause_class
                ) = 1 as leads
                from followed
            )
            group by cause_table, cause_class
        )
        select
            share.table_name,
            share.rule_class,
            share.rows,
            share.quarantined_rows,
            share.quarantined_rows / nullif(share.rows, 0) as share,
            share.tolerated_share,
            case
                when share.rows = 0 then 0.0
                else greatest(
                    share.quarantined_rows / share.rows - share.tolerated_share,
                    coalesce(following.above, 0.0),
                    0.0
                )
            end as above_tolerance,
            case
                when share.quarantined_rows > 0
                    then described.detail
                    || coalesce('; row(s) that refer to them follow: ' || following.detail, '')
            end as detail
        from meta.quarantine_share as share
        left join described on described.table_name = share.table_name
        left join following
            on
                following.cause_table = share.table_name
                and following.cause_class = share.rule_class
        order by share.table_name, share.rule_class
    """


INPUT_FILE = """
    with delivered as (
        select
            *,
            -- A master's unchanged extract of another month is no repetition.
            count(*) over (partition by table_name, extract_month, sha256) as same_content
        from meta.input_file
    )
    select
        table_name,
        path,
        extract_month,
        rows,
        (rows = 0)::integer as empty_file,
        (same_content > 1)::integer as repeated
    from delivered
    order by table_name, path
"""

BOOKING_MONTH = f"""
    with
    seen as (
        select
            month,
            count(*) as bookings,
            avg(abs(amount)) as mean_absolute,
            sum(amount) as net,
            min(booked_on) as first_booked,
            max(booked_on) as last_booked
        from landing.transaction
        group by month
    ),
    bounds as (
        select
            least(
                (select min(first_month) from landing.refresh_window), (select min(month) from seen)
            ) as low,
            (select date_trunc('month', max(as_of)) from landing.refresh_window)::date as high
    ),
    calendar as (
        select unnest(generate_series(low, high, interval 1 month))::date as month from bounds
    ),
    -- Months are few: joining each with all others is small.
    usual as (
        select one.month, median(other.mean_absolute) as others_mean_absolute
        from seen as one
        join seen as other on other.month <> one.month
        group by one.month
    ),
    complete as (
        select
            calendar.month,
            coalesce(seen.bookings, 0) as bookings,
            seen.mean_absolute,
            seen.net,
            usual.others_mean_absolute,
            last_day(calendar.month) - seen.last_booked as silent_days_at_end,
            median(coalesce(seen.bookings, 0)) over (
                order by calendar.month rows between 3 preceding and 1 preceding
            ) as bookings_before
        from calendar
        left join seen on seen.month = calendar.month
        left join usual on usual.month = calendar.month
    )
    select
        month,
        bookings,
        net,
        mean_absolute,
        bookings_before,
        case when bookings_before >= {LEAST_BOOKINGS} then bookings / bookings_before end
            as bookings_ratio,
        case when bookings >= {LEAST_BOOKINGS} then mean_absolute / nullif(others_mean_absolute, 0)
            end as amount_ratio,
        case when bookings >= {LEAST_BOOKINGS} then silent_days_at_end end as silent_days_at_end
    from complete
    order by month
"""

# Every account-month is a link: delivered balance at its end = balance at the end of the account's
# previous month with bookings + the month's amounts. The order of a day's bookings is not
# delivered, so that any balance of the last day may be the closing one. A missing or quarantined
# booking, or one in the wrong unit or sign, breaks its link but not the next.
BALANCE_CHAIN = f"""
    with
    sampled as (
        select account_id, opened_on
        from {CURRENT_ACCOUNT}
        where hash(account_id) % greatest(
            1, (select count(*) from {CURRENT_ACCOUNT}) // {MOST_CHAINED_ACCOUNTS}
        ) = 0
    ),
    booking as (
        select booked.account_id, booked.month, booked.booked_on, booked.amount,
               booked.balance_after
        from landing.transaction as booked
        join sampled using (account_id)
    ),
    movement as (
        select
            account_id,
            month,
            sum(amount) as movement,
            sum(abs(amount)) as turnover,
            max(booked_on) as last_booked
        from booking
        group by account_id, month
    ),
    linked as (
        select *, lag(month) over (partition by account_id order by month) as month_before
        from movement
    ),
    closing as (
        select distinct booking.account_id, booking.month, booking.balance_after
        from booking
        join movement
            on movement.account_id = booking.account_id
            and movement.month = booking.month
            and movement.last_booked = booking.booked_on
        where booking.balance_after is not null
        -- A shop's account with hundreds of bookings a day is no evidence: any balance fits.
        qualify count(*) over (partition by booking.account_id, booking.month) <= 50
    ),
    link as (
        select
            linked.account_id,
            linked.month,
            min(abs(
                closing.balance_after - coalesce(before.balance_after, 0) - linked.movement
            )) as gap,
            any_value(linked.turnover) as turnover
        from linked
        join closing
            on closing.account_id = linked.account_id and closing.month = linked.month
        join sampled on sampled.account_id = linked.account_id
        left join closing as before
            on before.account_id = linked.account_id and before.month = linked.month_before
        where before.balance_after is not null
            -- An account opened within the history starts from nothing.
            or (
                linked.month_before is null
                and sampled.opened_on >= (select min(first_month) from landing.refresh_window)
            )
        group by linked.account_id, linked.month
    )
    select
        month,
        count(*) as links,
        count(*) filter (
            gap <= greatest({CHAIN_TOLERANCE}, {CHAIN_TOLERANCE_BY_TURNOVER} * turnover)
        ) as links_holding,
        links_holding / links as share,
        case when links >= {LEAST_CHAINED_ACCOUNTS} then share end as judged_share,
        links - links_holding || ' of ' || links || ' account-months do not add up' as detail
    from link
    group by month
    order by month
"""

# Bookings whose amount has the opposite sign of their kind: by kind and product line over the
# history, and by month without those kinds (one file without signs).
BOOKING_SIGN = f"""
    with
    account as (
        select held.account_id, product.product_line
        from {CURRENT_ACCOUNT} as held
        join {CURRENT_PRODUCT} as product using (product_id)
    ),
    counted as (
        select
            booked.month,
            booked.kind,
            account.product_line,
            count(*) as bookings,
            count(*) filter (booked.amount * meant.sign < 0) as turned
        from landing.transaction as booked
        join account using (account_id)
        join (values {{signs}}) as meant (kind, product_line, sign)
            on meant.kind = booked.kind and meant.product_line = account.product_line
        group by all
    ),
    by_kind as (
        select
            kind,
            product_line,
            sum(bookings)::bigint as bookings,
            sum(turned)::bigint as turned,
            sum(bookings) >= {LEAST_OF_KIND} and sum(turned) > {MOST_TURNED_OF_KIND} * sum(bookings)
                as is_turned
        from counted
        group by kind, product_line
    ),
    by_month as (
        select month, sum(bookings)::bigint as bookings, sum(turned)::bigint as turned
        from counted
        anti join (select * from by_kind where is_turned) using (kind, product_line)
        group by month
        having sum(bookings) >= {LEAST_BOOKINGS}
    )
    select
        kind || ' on accounts of ' || product_line as part,
        bookings,
        turned,
        turned / bookings as share,
        is_turned::integer as is_turned,
        turned || ' of ' || bookings || ' bookings' as detail
    from by_kind
    union all
    select
        strftime(month, '%Y-%m'),
        bookings,
        turned,
        turned / bookings,
        (turned > {MOST_TURNED_OF_MONTH} * bookings)::integer,
        turned || ' of ' || bookings || ' bookings'
    from by_month
    order by part
"""

BALANCE_CHAIN_TOTAL = """
    select
        sum(links) as links,
        sum(links_holding) as links_holding,
        sum(links_holding) / sum(links) as share
    from profile.landing_balance_chain
    having count(*) > 0
"""


def _account_sql(connection: duckdb.DuckDBPyConnection) -> str:
    # Do not count accounts again whose holders are in quarantine: quarantine has its own rule.
    set_aside = "0"
    if "account_holder" in _tables(connection, "quarantine"):
        set_aside = "(select count(distinct (file, row_number)) from quarantine.account_holder)"
    return f"""
        with
        account as (select * from {CURRENT_ACCOUNT}),
        holder as (
            select account_id, bool_or(role = 'owner') as has_owner
            from {CURRENT_HOLDER} group by account_id
        ),
        booked as (select distinct account_id from landing.transaction),
        judged as (
            select
                account.account_id,
                holder.account_id is null as without_holder,
                not coalesce(holder.has_owner, false) as without_owner,
                account.opened_on
                < (select max(as_of) from landing.refresh_window) - interval 60 day as settled,
                booked.account_id is null as without_booking
            from account
            left join holder using (account_id)
            left join booked using (account_id)
        ),
        counted as (
            select
                count(*) as accounts,
                greatest(count(*) filter (without_holder) - {set_aside}, 0) as without_holder,
                greatest(count(*) filter (without_owner) - {set_aside}, 0) as without_owner,
                coalesce(avg(without_booking::integer) filter (settled), 0) as without_booking_share
            from judged
        )
        select
            accounts,
            coalesce(without_holder / nullif(accounts, 0), 0) as without_holder_share,
            coalesce(without_owner / nullif(accounts, 0), 0) as without_owner_share,
            without_booking_share
        from counted
    """


CUSTOMER = f"""
    select
        count(*) as customers,
        count(birth_date) as with_birth_date,
        median(date_diff(
            'year', birth_date, (select max(as_of) from landing.refresh_window)
        )) as median_age
    from {CURRENT_CUSTOMER}
"""

WATCHED_COLUMNS = ("channel", "counterparty_bank", "counterparty_account", "balance_after")

NULL_SHARE = f"""
    with
    share as (
        select
            month,
            count(*) as bookings,
            {", ".join(f"1 - count({name}) / count(*) as {name}" for name in WATCHED_COLUMNS)}
        from landing.transaction
        group by month
    ),
    long as (
        {
    " union all ".join(
        f"select '{name}' as column_name, month, bookings, {name} as null_share from share"
        for name in WATCHED_COLUMNS
    )
}
    ),
    usual as (
        select
            *,
            median(null_share) over (
                partition by column_name order by month rows between 3 preceding and 1 preceding
            ) as null_share_before
        from long
    )
    select
        *,
        case when bookings >= {LEAST_BOOKINGS} then abs(null_share - null_share_before) end as jump
    from usual
    order by column_name, month
"""


def landing_suite(
    signs: Sequence[tuple[str, str, int]],
    required: tuple[str, ...] = REQUIRED_TABLES,
    optional: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Suite:
    """G1. Reads `landing.*`, `quarantine.*`, `meta.input_file` and, of the quarantine,
    `meta.quarantine_share`, `meta.bad_code`, `meta.quarantine_following`.

    `signs` holds the kinds of bookings whose amount has one sign, by product line: kind, line, 1 or
    -1. `optional` names the columns of each table whose absence is recorded (`lacking`).

    `meta.previous_release_count` (table_name, rows: `profile.landing_table` of the release before)
    is compared where it exists.
    """
    bookings = ("landing.transaction", "landing.refresh_window")
    meant = ", ".join(f"('{kind}', '{line}', {sign})" for kind, line, sign in signs)
    profiles: dict[str, Profile | str] = {
        "landing_table": Profile(
            _table_sql(required, optional), key=("table_name",), about="landing.{table_name}"
        ),
        "landing_input_file": Profile(
            INPUT_FILE,
            key=("table_name", "path"),
            about="landing.{table_name}",
            needs=("meta.input_file",),
        ),
        "landing_quarantine": Profile(
            _quarantine_sql,
            key=("table_name", "rule_class"),
            about="landing.{table_name}",
            needs=("meta.quarantine_share", "meta.bad_code", "meta.quarantine_following"),
        ),
        "landing_booking_month": Profile(
            BOOKING_MONTH, key=("month",), about="landing.transaction", needs=bookings
        ),
        "landing_balance_chain": Profile(
            BALANCE_CHAIN,
            key=("month",),
            about="landing.transaction",
            needs=(*bookings, "landing.account"),
            off_when="select count(balance_after) = 0 from landing.transaction",
            off_means="balances after each booking are not delivered",
        ),
        "landing_balance_chain_total": Profile(
            BALANCE_CHAIN_TOTAL,
            about="landing.transaction",
            off_without=("profile.landing_balance_chain",),
            off_means="no account-month has consecutive delivered balances",
        ),
        "landing_booking_sign": Profile(
            BOOKING_SIGN.format(signs=meant),
            key=("part",),
            about="landing.transaction",
            needs=("landing.transaction", "landing.account", "landing.product"),
        ),
        "landing_account": Profile(
            _account_sql,
            about="landing.account_holder",
            needs=(*bookings, "landing.account", "landing.account_holder"),
        ),
        "landing_customer": Profile(
            CUSTOMER,
            about="landing.customer",
            needs=("landing.customer", "landing.refresh_window"),
            off_when="select count(birth_date) = 0 from landing.customer",
            off_means="birth dates are not delivered",
        ),
        "landing_null_share": Profile(
            NULL_SHARE,
            key=("column_name", "month"),
            about="landing.transaction",
            needs=("landing.transaction",),
        ),
    }
    rules = (
        Rule(
            "landing_table",
            column_zero("absent"),
            "fail",
            "every required table has rows",
            "deliver the table, or set the as-of month to one that it covers",
            binding=PRESENT,
        ),
        Rule(
            "landing_table",
            column_between("required_change", low=-MOST_SHRINKAGE),
            "fail",
            f"no required table shrank by more than {MOST_SHRINKAGE:.0%} since the last release",
            "compare the delivery with the previous one: a file is probably incomplete or another"
            " bank's. For a shorter history set FIRST_MONTH (JINGXI_FIRST_MONTH); if the bank did"
            " shrink or is another one, use another HOME (JINGXI_HOME), which has no release to"
            " compare with",
            nulls="pass",
        ),
        Rule(
            "landing_table",
            column_between("optional_change", low=-MOST_SHRINKAGE),
            "warn",
            f"no optional table shrank by more than {MOST_SHRINKAGE:.0%} since the last release",
            "compare the delivery with the previous one",
            nulls="pass",
        ),
        Rule(
            "landing_input_file",
            column_zero("repeated"),
            "fail",
            "no file is delivered twice for one table",
            "remove the repeated file; deliver each booking once",
        ),
        Rule(
            "landing_input_file",
            column_zero("empty_file"),
            "warn",
            "every delivered file has rows",
            "ask the sender whether the file is complete",
        ),
        Rule(
            "landing_quarantine",
            column_between("above_tolerance", high=0.0),
            "fail",
            "the share of quarantined rows stays within each table's tolerance",
            "correct the rows listed in quarantine.<table> (file, row number, rule, value) and"
            " deliver the file again",
        ),
        Rule(
            "landing_booking_month",
            row_count_at_least(1),
            "fail",
            "the delivery has bookings",
            "deliver transactions up to the as-of month",
            binding=PRESENT,
        ),
        Rule(
            "landing_booking_month",
            column_between("bookings", low=1),
            "fail",
            "every month from the first to the as-of month has bookings",
            "deliver the transactions of the months named; if the last months are missing because"
            " one booking is dated far ahead, correct its date or set the as-of month",
        ),
        Rule(
            "landing_booking_month",
            column_between("bookings_ratio", low=LEAST_MONTH_RATIO),
            "fail",
            f"every month has at least {LEAST_MONTH_RATIO:.0%} of the bookings of the months before"
            " it",
            "the month's file is probably incomplete: deliver the complete file, or set the as-of"
            " month to the last complete one",
            nulls="pass",
        ),
        Rule(
            "landing_booking_month",
            column_between("silent_days_at_end", high=LONGEST_SILENT_END),
            "fail",
            f"no month's bookings end more than {LONGEST_SILENT_END} days before the month does",
            "the month's file is truncated: deliver the complete file, or set the as-of month to"
            " the last complete one",
            nulls="pass",
        ),
        Rule(
            "landing_booking_month",
            column_between("amount_ratio", low=1 / AMOUNT_FACTOR, high=AMOUNT_FACTOR),
            "fail",
            f"a booking's mean size stays within a factor {AMOUNT_FACTOR:.0f} of the other months",
            "check the unit of the month's amounts (hundredths of the currency, a shifted decimal"
            " point, another currency) and deliver it again",
            nulls="pass",
        ),
        Rule(
            "landing_balance_chain",
            column_between("judged_share", low=LEAST_CHAINED_SHARE),
            "fail",
            "in every month the delivered balances agree with the booked amounts",
            "check the month's amounts: unit, sign, swapped columns, missing bookings",
            nulls="pass",
        ),
        Rule(
            "landing_balance_chain_total",
            column_between("share", low=LEAST_CHAINED_SHARE),
            "fail",
            "over the whole history the delivered balances agree with the booked amounts",
            "check whether amount and balance_after are swapped, in different units, or booked"
            " with the opposite sign (+ credits the account)",
        ),
        Rule(
            "landing_booking_sign",
            column_zero("is_turned"),
            "fail",
            "amounts have the sign of their kind: + credits the account",
            "correct the sign of the amounts named (withdrawals, payments and fees debit: -), or"
            " map the bookings to another kind; docs/contract.md lists the sign of each kind",
            figure="share with the other sign above"
            f" {MOST_TURNED_OF_KIND:.0%} of a kind or {MOST_TURNED_OF_MONTH:.0%} of a month",
        ),
        Rule(
            "landing_account",
            column_between("without_holder_share", high=MOST_WITHOUT_HOLDER),
            "fail",
            f"at most {MOST_WITHOUT_HOLDER:.0%} of the accounts have no holder",
            "deliver account_holder for all accounts",
        ),
        Rule(
            "landing_account",
            column_between("without_owner_share", high=MOST_WITHOUT_OWNER),
            "warn",
            "nearly every account has an owner",
            "accounts without an owner are split among their other holders; check the role column",
        ),
        Rule(
            "landing_account",
            column_between("without_booking_share", high=MOST_WITHOUT_BOOKING),
            "fail",
            f"at most {MOST_WITHOUT_BOOKING:.0%} of the accounts open for 60 days have no bookings",
            "transactions of some accounts are missing: deliver the whole history",
            about="landing.transaction",
        ),
        Rule(
            "landing_customer",
            column_between("median_age", low=18, high=90),
            "warn",
            "the customers' median age is an adult's",
            "check the century and the order of day and month in birth_date",
        ),
        Rule(
            "landing_null_share",
            column_between("jump", high=MOST_NULL_JUMP),
            "warn",
            "no booking column suddenly fills or empties",
            "ask the sender whether the meaning of the column changed in the month named",
            nulls="pass",
        ),
    )
    return Suite("G1", "landing", profiles, rules)
