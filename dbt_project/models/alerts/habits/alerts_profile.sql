-- Weight of the peers in an account's profile, in bookings.
{%- set peer_bookings = 3 -%}
-- Caps the history, so that a burst is never certain evidence.
{%- set most_shape = 8 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

booking as (
    select
        booking.*,
        booking.amount > 0 as is_in,
        booking.month < run.as_of_month as is_past
    from {{ ref('alerts_booking') }} as booking
    cross join run
    where booking.is_own and booking.is_recent and {{ in_part('booking.customer_id') }}
),

amount as (
    select
        account_id,
        is_in,
        count(*) as bookings,
        median(size) as location,
        {{ normal_deviation() }} * {{ median_deviation('size') }} as scale
    from booking
    where is_past
    group by account_id, is_in
),

-- A kind of booking that is new in the as-of month has the profile of the peers.
kind as (
    select
        account_id,
        kind,
        is_in,
        count(*) filter (where is_past) as bookings,
        count(distinct counterparty) filter (where is_past) as counterparties,
        count(counterparty) filter (where is_past) as transfers
    from booking
    group by account_id, kind, is_in
),

rate as (
    select
        product_line,
        kind,
        max(daily) as daily
    from {{ ref('alerts_peer_channel') }}
    group by product_line, kind
)

select
    kind.account_id,
    kind.kind,
    kind.is_in,
    coalesce(amount.bookings, 0) as bookings,
    (
        coalesce(amount.bookings * amount.location, 0)
        + {{ peer_bookings }} * coalesce(peer.location, amount.location, 0)
    ) / (coalesce(amount.bookings, 0) + {{ peer_bookings }}) as location,
    greatest({{ least_scale() }}, sqrt(
        (
            coalesce(amount.bookings * power(amount.scale, 2), 0)
            + {{ peer_bookings }} * power(coalesce(peer.scale, 1), 2)
        ) / (coalesce(amount.bookings, 0) + {{ peer_bookings }})
    )) as scale,
    -- Gamma prior: one booking in the time in which the peers have one.
    least(kind.bookings + 1, {{ most_shape }}) as shape,
    (account.days_known + 1 / coalesce(rate.daily, 1 / 365))
    * least(1, {{ most_shape }} / (kind.bookings + 1)) as exposure,
    -ln((kind.counterparties + 1) / (kind.transfers + 2)) as stranger_surprise
from kind
inner join {{ ref('alerts_account') }} as account on kind.account_id = account.account_id
left join amount on kind.account_id = amount.account_id and kind.is_in = amount.is_in
left join {{ ref('alerts_peer_amount') }} as peer
    on account.product_line = peer.product_line and kind.is_in = peer.is_in
left join rate on account.product_line = rate.product_line and kind.kind = rate.kind
