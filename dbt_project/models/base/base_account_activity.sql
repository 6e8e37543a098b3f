{{ config(materialized='incremental') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

booking as (
    select
        txn.account_id,
        txn.month,
        coalesce(txn.channel, '(none)') as channel,
        txn.kind,
        txn.amount,
        txn.booked_on,
        -- An amount counts in the balance of the day of booking and of all later days.
        day(last_day(txn.month)) - day(txn.booked_on) + 1 as days_in_balance
    from {{ ref('stg_transaction') }} as txn
    cross join run
    where txn.month between run.month_from and run.month_to
)

select
    account_id,
    month,
    channel,
    kind,
    cast(count(*) as integer) as bookings,
    cast(sum(amount) as decimal(18, 2)) as amount,
    cast(sum(case when amount > 0 then amount else 0 end) as decimal(18, 2)) as amount_in,
    cast(sum(amount * days_in_balance) as decimal(18, 2)) as balance_day_amount,
    max(booked_on) as last_booked_on
from booking
group by account_id, month, channel, kind
