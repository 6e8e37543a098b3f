-- Share of the usual amount from which a booking counts in a burst.
{%- set sizeable = 0.25 -%}
-- Degrees of freedom of the predictive t distribution: amounts have heavy tails.
{%- set least_freedom, most_freedom = 4, 30 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

booking as (
    select
        *,
        amount > 0 as is_in,
        -- Log of the leading digits of the amount, from 0 to ln(10).
        size - ln(10) * floor(size / ln(10)) as digits
    from {{ ref('alerts_booking') }}
    where {{ in_part('customer_id') }}
),

seen as (
    select
        account_id,
        counterparty,
        min(month) as first_month
    from booking
    where counterparty is not null
    group by account_id, counterparty
),

day as (
    select
        booking.account_id,
        booking.customer_id,
        booking.booked_on,
        booking.kind,
        booking.is_in,
        any_value(booking.month) as month,
        count(*) as bookings,
        cast(sum(booking.amount) as decimal(18, 2)) as amount,
        count(*) filter (where booking.size >= profile.location + ln({{ sizeable }})) as sizeable,
        max(booking.size) as size,
        count(distinct booking.counterparty)
        filter (where seen.first_month = booking.month) as strangers,
        count(*) filter (
            where
            booking.digits between ln(1.8) and ln(2)
            or booking.digits between ln(2.7) and ln(3)
            or booking.digits between ln(4.5) and ln(5)
            or booking.digits >= ln(9)
        ) as just_below_round,
        max(channel.surprise) as channel_surprise,
        max_by(booking.channel, channel.surprise) as channel,
        count(distinct booking.channel) as channels,
        count(distinct booking.channel)
        filter (where channel.first_month = booking.month) as new_channels
    from booking
    inner join {{ ref('alerts_channel') }} as channel
        on
            booking.account_id = channel.account_id
            and booking.kind = channel.kind
            and booking.channel = channel.channel
    inner join {{ ref('alerts_profile') }} as profile
        on
            booking.account_id = profile.account_id
            and booking.kind = profile.kind
            and booking.is_in = profile.is_in
    left join seen
        on
            booking.account_id = seen.account_id
            and booking.counterparty = seen.counterparty
    where booking.is_own and booking.is_recent
    group by
        booking.account_id, booking.customer_id, booking.booked_on, booking.kind, booking.is_in
),

burst as (
    select
        *,
        sum(sizeable) over two as bookings_2d,
        sum(sizeable) over ten as bookings_10d,
        ln(cast(sum(abs(amount)) over two as double)) as size_2d,
        sum(just_below_round) over ten as just_below_round_10d
    from day
    window
        two as (
            partition by account_id, kind, is_in order by booked_on
            range between interval 1 day preceding and current row
        ),
        ten as (
            partition by account_id, kind, is_in order by booked_on
            range between interval 9 days preceding and current row
        )
),

compared as (
    select
        burst.*,
        profile.bookings as known_bookings,
        profile.location,
        profile.shape / profile.exposure as daily,
        (burst.size_2d - profile.location) / profile.scale as z,
        least({{ most_freedom }}, {{ least_freedom }} + profile.bookings) as freedom,
        greatest(
            {{ count_surprise('burst.bookings_2d', 2) }},
            {{ count_surprise('burst.bookings_10d', 10) }}
        ) as count_surprise,
        case when burst.strangers > 0 then profile.stranger_surprise else 0 end
            as stranger_surprise
    from burst
    cross join run
    cross join {{ ref('alerts_sample') }} as sample
    inner join {{ ref('alerts_profile') }} as profile
        on
            burst.account_id = profile.account_id
            and burst.kind = profile.kind
            and burst.is_in = profile.is_in
    where {{ is_kept_day('burst', 'sample') }}
)

select
    account_id,
    customer_id,
    booked_on,
    month,
    kind,
    is_in,
    bookings,
    amount,
    size,
    location,
    known_bookings,
    cast(bookings_2d as bigint) as bookings_2d,
    cast(bookings_10d as bigint) as bookings_10d,
    cast(just_below_round_10d as bigint) as just_below_round_10d,
    daily,
    strangers,
    channel,
    channels,
    new_channels,
    z,
    -- Log density of a predictive t distribution at its centre, less that at z.
    case
        when z > 0 then (freedom + 1) / 2 * ln(1 + power(z, 2) / freedom)
        else 0
    end as amount_surprise,
    count_surprise,
    stranger_surprise,
    channel_surprise
from compared
