with run as (
    select * from {{ ref('base_refresh_window') }}
),

booking as (
    select * from {{ ref('stg_transaction') }}
),

brought_account as (
    select account.account_id
    from {{ latest_extract(ref('stg_account')) }} as account
    cross join run
    where account.opened_on < run.first_month
),

first_day as (
    select
        booking.account_id,
        min(booking.booked_on) as booked_on
    from booking
    inner join brought_account on booking.account_id = brought_account.account_id
    group by booking.account_id
),

first_day_booking as (
    select
        booking.account_id,
        booking.transaction_id,
        booking.booked_on,
        booking.balance_after,
        booking.balance_after - booking.amount as balance_before
    from booking
    inner join first_day
        on
            booking.account_id = first_day.account_id
            and booking.booked_on = first_day.booked_on
),

-- Bookings of one day have no order: the first is the one that follows none of the others.
preceded as (
    select distinct
        later.account_id,
        later.transaction_id
    from first_day_booking as later
    inner join first_day_booking as earlier
        on
            later.account_id = earlier.account_id
            and later.transaction_id <> earlier.transaction_id
            and later.balance_before = earlier.balance_after
),

ordered as (
    select
        first_day_booking.*,
        row_number() over (
            partition by first_day_booking.account_id
            order by
                case when preceded.transaction_id is null then 0 else 1 end,
                -- Shorter identifiers first, so that 9 precedes 10.
                length(first_day_booking.transaction_id),
                first_day_booking.transaction_id
        ) as place
    from first_day_booking
    left join preceded
        on
            first_day_booking.account_id = preceded.account_id
            and first_day_booking.transaction_id = preceded.transaction_id
)

select
    account_id,
    {{ month_of('booked_on') }} as known_from,
    cast(balance_before as decimal(18, 2)) as opening_balance
from ordered
where place = 1 and balance_before is not null
