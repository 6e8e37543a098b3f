with run as (
    select * from {{ ref('base_refresh_window') }}
),

counted as (
    select
        account.product_line,
        booking.kind,
        coalesce(booking.channel, '(none)') as channel,
        count(*) as bookings
    from {{ ref('stg_transaction') }} as booking
    cross join run
    inner join {{ ref('alerts_account') }} as account on booking.account_id = account.account_id
    where
        {{ in_profile('booking.month') }}
        and {{ is_judged_booking('booking') }}
    group by all
),

exposed as (
    select
        product_line,
        sum(days_known) as days
    from {{ ref('alerts_account') }}
    group by product_line
)

select
    counted.product_line,
    counted.kind,
    counted.channel,
    counted.bookings / sum(counted.bookings) over by_kind as share,
    sum(counted.bookings) over by_kind / exposed.days as daily
from counted
inner join exposed on counted.product_line = exposed.product_line
window by_kind as (partition by counted.product_line, counted.kind)
