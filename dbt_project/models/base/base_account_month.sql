{{ config(materialized='incremental') }}

{%- set no_behaviour = booking_groups()['charge'] + ['loan_payout', 'write_off', 'recovery'] -%}
{%- set active = quoted_list(booking_channels('is_by_hand')) -%}
{%- set income = quoted_list(booking_groups()['income']) -%}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

account as (
    select * from {{ latest_extract(ref('stg_account')) }} as latest
),

-- As the account was known to be in each month: it may move to another branch, product or limit.
version as (
    select
        history.*,
        product.product_line
    from {{ ref('base_account_history') }} as history
    inner join {{ latest_extract(ref('stg_product')) }} as product
        on history.product_id = product.product_id
),

refreshed_month as (
    {{ each_month('run', 'month_from', 'month_to') }}
),

activity as (
    select
        activity.account_id,
        activity.month,
        sum(activity.amount) as amount,
        sum(activity.balance_day_amount) as balance_day_amount,
        sum(activity.bookings) as bookings,
        {%- for channel in booking_channels() + ['(none)'] %}
        sum(case when activity.channel = '{{ channel }}' then activity.bookings else 0 end)
            as bookings_{{ 'no_channel' if channel == '(none)' else channel }},
        {%- endfor %}
        {%- for group, kinds in booking_groups().items() %}
        sum(case when activity.kind in {{ quoted_list(kinds) }} then activity.bookings else 0 end)
            as bookings_{{ group }},
        {%- endfor %}
        sum(
            case
                when activity.kind not in {{ quoted_list(no_behaviour) }} then activity.amount_in
                else 0
            end
        ) as inflow,
        sum(
            case
                when activity.kind not in {{ quoted_list(no_behaviour) }}
                    then activity.amount_in - activity.amount
                else 0
            end
        ) as outflow,
        sum(
            case when activity.kind in {{ income }} then activity.amount else 0 end
        ) as income,
        sum(
            case when activity.kind = 'card_payment' then -activity.amount else 0 end
        ) as card_payments,
        sum(
            case when activity.kind = 'withdrawal' then -activity.amount else 0 end
        ) as cash_withdrawals,
        -- What was paid for a loan, not what the loan's own account received.
        sum(
            case
                when activity.kind = 'loan_repayment' then activity.amount_in - activity.amount
                else 0
            end
        ) as loan_repayments,
        sum(
            case when activity.kind in ('purchase', 'sale') then -activity.amount else 0 end
        ) as net_invested,
        sum(
            case when activity.kind = 'interest_paid' then activity.amount else 0 end
        ) as interest_paid,
        sum(
            case when activity.kind = 'interest_charged' then activity.amount else 0 end
        ) as interest_charged,
        sum(
            case when activity.kind in ('fee', 'penalty') then activity.amount else 0 end
        ) as fees,
        max(activity.last_booked_on) as last_booked_on,
        max(
            case when activity.channel in {{ active }} then activity.last_booked_on end
        ) as last_active_on,
        max(
            case when activity.kind in {{ income }} then activity.last_booked_on end
        ) as last_income_on
    from {{ ref('base_account_activity') }} as activity
    cross join run
    where activity.month between run.month_from and run.month_to
    group by activity.account_id, activity.month
),

-- Straight from the bookings: a month refreshed alone does not depend on the months built before.
earlier as (
    select
        txn.account_id,
        sum(txn.amount) as amount,
        max(txn.booked_on) as last_booked_on,
        max(case when txn.channel in {{ active }} then txn.booked_on end) as last_active_on,
        max(
            case when txn.kind in {{ income }} then txn.booked_on end
        ) as last_income_on
    from {{ ref('stg_transaction') }} as txn
    cross join run
    where txn.month < run.month_from
    group by txn.account_id
),

loan_status as (
    select
        loan.account_id,
        status.month,
        max(status.days_past_due) as days_past_due,
        bool_or(status.defaulted) as is_defaulted
    from {{ ref('stg_loan_status') }} as status
    inner join {{ latest_extract(ref('stg_loan')) }} as loan on status.loan_id = loan.loan_id
    cross join run
    where status.month between run.month_from and run.month_to
    group by loan.account_id, status.month
),

-- From the month of opening to the month of closing; a booking outside has its row all the same,
-- or the months would not sum to the records.
account_month as (
    select
        account.account_id,
        refreshed_month.month
    from account
    inner join refreshed_month
        on
            refreshed_month.month >= {{ month_of('account.opened_on') }}
            and refreshed_month.month <= coalesce(account.closed_on, refreshed_month.month)
    union
    select
        account_id,
        month
    from activity
),

running as (
    select
        account_month.account_id,
        account_month.month,
        last_day(account_month.month) as month_end,
        day(last_day(account_month.month)) as days_in_month,
        -- Known from the first booking's month on: no later row may change an earlier month.
        case
            when account_month.month >= brought.known_from then brought.opening_balance else 0
        end
        + coalesce(earlier.amount, 0)
        + sum(coalesce(activity.amount, 0)) over so_far as closing_balance,
        coalesce(activity.amount, 0) as amount,
        coalesce(activity.balance_day_amount, 0) as balance_day_amount,
        coalesce(max(activity.last_booked_on) over so_far, earlier.last_booked_on)
            as last_booked_on,
        coalesce(max(activity.last_active_on) over so_far, earlier.last_active_on)
            as last_active_on,
        coalesce(max(activity.last_income_on) over so_far, earlier.last_income_on)
            as last_income_on
    from account_month
    left join activity
        on
            account_month.account_id = activity.account_id
            and account_month.month = activity.month
    left join earlier on account_month.account_id = earlier.account_id
    left join {{ ref('base_opening_balance') }} as brought
        on account_month.account_id = brought.account_id
    window so_far as (
        partition by account_month.account_id
        order by account_month.month
        rows between unbounded preceding and current row
    )
),

balanced as (
    select
        *,
        closing_balance - amount as opening_balance,
        (closing_balance - amount) * days_in_month + balance_day_amount as balance_day_sum
    from running
),

booked_day as (
    select
        txn.account_id,
        txn.month,
        txn.booked_on,
        sum(txn.amount) as amount
    from {{ ref('stg_transaction') }} as txn
    cross join run
    where txn.month between run.month_from and run.month_to
    group by txn.account_id, txn.month, txn.booked_on
),

-- From each day with bookings until the next, the balance stands still.
stretch as (
    select
        balanced.account_id,
        balanced.month,
        booked_day.booked_on,
        balanced.opening_balance + sum(booked_day.amount) over in_month as balance,
        coalesce(
            day(lead(booked_day.booked_on) over in_month), balanced.days_in_month + 1
        ) - day(booked_day.booked_on) as days
    from balanced
    inner join booked_day
        on
            balanced.account_id = booked_day.account_id
            and balanced.month = booked_day.month
    window in_month as (
        partition by balanced.account_id, balanced.month
        order by booked_day.booked_on
    )
),

below_zero as (
    select
        account_id,
        month,
        day(min(booked_on)) - 1 as days_before,
        sum(least(balance, 0) * days) as day_sum
    from stretch
    group by account_id, month
)

select
    balanced.account_id,
    balanced.month,
    version.product_id,
    version.product_line,
    version.branch_id,
    version.interest_rate,
    version.credit_limit,
    version.term_months,
    account.opened_on <= balanced.month_end
    and (account.closed_on is null or account.closed_on > balanced.month_end) as is_open,
    cast(balanced.days_in_month as integer) as days_in_month,
    cast(
        greatest(
            0,
            1 + {{ days_from_to(
                'greatest(account.opened_on, balanced.month)',
                'least(coalesce(account.closed_on, balanced.month_end), balanced.month_end)'
            ) }}
        ) as integer
    ) as days_open,
    cast(balanced.opening_balance as decimal(18, 2)) as opening_balance,
    cast(balanced.closing_balance as decimal(18, 2)) as closing_balance,
    cast(balanced.balance_day_sum as decimal(18, 2)) as balance_day_sum,
    cast(
        least(balanced.opening_balance, 0)
        * coalesce(below_zero.days_before, balanced.days_in_month)
        + coalesce(below_zero.day_sum, 0)
        as decimal(18, 2)
    ) as overdrawn_day_sum,
    {{ from_cents(divide_units(
        units('cast(balanced.balance_day_sum as decimal(18, 2))'), 'balanced.days_in_month'
    )) }} as average_balance,
    cast(coalesce(activity.bookings, 0) as integer) as bookings,
    {%- for channel in booking_channels() + ['no_channel'] %}
    cast(coalesce(activity.bookings_{{ channel }}, 0) as integer) as bookings_{{ channel }},
    {%- endfor %}
    {%- for group in booking_groups() %}
    cast(coalesce(activity.bookings_{{ group }}, 0) as integer) as bookings_{{ group }},
    {%- endfor %}
    {%- for measure in [
        'inflow', 'outflow', 'income', 'card_payments', 'cash_withdrawals', 'loan_repayments',
        'net_invested', 'interest_paid', 'interest_charged', 'fees',
    ] %}
    cast(coalesce(activity.{{ measure }}, 0) as decimal(18, 2)) as {{ measure }},
    {%- endfor %}
    balanced.last_booked_on,
    balanced.last_active_on,
    balanced.last_income_on,
    cast(loan_status.days_past_due as integer) as days_past_due,
    loan_status.is_defaulted
from balanced
inner join account on balanced.account_id = account.account_id
inner join version
    on
        balanced.account_id = version.account_id
        and balanced.month >= version.valid_from
        and (version.valid_to is null or balanced.month < version.valid_to)
left join activity
    on balanced.account_id = activity.account_id and balanced.month = activity.month
left join below_zero
    on balanced.account_id = below_zero.account_id and balanced.month = below_zero.month
left join loan_status
    on balanced.account_id = loan_status.account_id and balanced.month = loan_status.month
