-- Approximate number of past customer days to train the detector.
{%- set sampled_days = 40000 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

counted as (
    select
        count(*) as bookings,
        count(distinct booking.month) as months
    from {{ ref('stg_transaction') }} as booking
    cross join run
    where
        {{ in_profile('booking.month') }}
        and {{ is_judged_booking('booking') }}
)

select
    bookings,
    cast(months as integer) as months,
    least(cast(1 as double), {{ sampled_days }} / greatest(bookings, 1)) as share
from counted
