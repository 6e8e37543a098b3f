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
),

summed as (
    select
        account_id,
        month,
        channel,
        kind,
        count(*) as bookings,
        sum(amount) as amount,
        sum(case when amount > 0 then amount else 0 end) as amount_in,
        sum(amount * days_in_balance) as balance_day_amount,
        max(booked_on) as last_booked_on
    from booking
    group by account_id, month, channel, kind
)

select
    summed.account_id,
    summed.month,
    summed.channel,
    summed.kind,
    cast(summed.bookings as integer) as bookings,
    {{ translated('summed.amount', 'average_rate') }} as amount,
    {{ translated('summed.amount_in', 'average_rate') }} as amount_in,
    cast(summed.balance_day_amount as decimal(18, 2)) as balance_day_amount,
    summed.last_booked_on,
    cast(case when fx.account_id is not null then summed.amount end as decimal(18, 2))
        as foreign_amount
from summed
left join {{ ref('base_account_rate') }} as fx
    on summed.account_id = fx.account_id and summed.month = fx.month
