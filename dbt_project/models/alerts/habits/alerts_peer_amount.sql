-- Steps of the histogram per unit of the log amount: the histogram stays small, and its median does
-- not depend on the order of the rows.
{%- set steps = 20 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

counted as (
    select
        account.product_line,
        booking.amount > 0 as is_in,
        cast(round({{ steps }} * ln(cast(abs(booking.amount) as double))) as integer) as step,
        count(*) as bookings
    from {{ ref('stg_transaction') }} as booking
    cross join run
    inner join {{ ref('alerts_account') }} as account on booking.account_id = account.account_id
    where
        {{ in_profile('booking.month') }}
        and {{ is_judged_booking('booking') }}
    group by all
),

running as (
    select
        *,
        sum(bookings) over (partition by product_line, is_in order by step) as so_far,
        sum(bookings) over (partition by product_line, is_in) as in_all
    from counted
),

centre as (
    select
        product_line,
        is_in,
        min(step) as step,
        any_value(in_all) as in_all
    from running
    where 2 * so_far >= in_all
    group by product_line, is_in
),

apart as (
    select
        counted.product_line,
        counted.is_in,
        abs(counted.step - centre.step) as distance,
        sum(counted.bookings) as bookings,
        any_value(centre.in_all) as in_all
    from counted
    inner join centre
        on counted.product_line = centre.product_line and counted.is_in = centre.is_in
    group by all
),

running_apart as (
    select
        *,
        sum(bookings) over (partition by product_line, is_in order by distance) as so_far
    from apart
),

spread as (
    select
        product_line,
        is_in,
        min(distance) as distance
    from running_apart
    where 2 * so_far >= in_all
    group by product_line, is_in
)

select
    centre.product_line,
    centre.is_in,
    cast(centre.step as double) / {{ steps }} as location,
    greatest(
        {{ least_scale() }},
        {{ normal_deviation() }} * cast(spread.distance as double) / {{ steps }}
    ) as scale
from centre
inner join spread
    on centre.product_line = spread.product_line and centre.is_in = spread.is_in
