-- Weight of a channel's share among the peers, in bookings of the account.
{%- set peer_bookings = 3 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

used as (
    select
        booking.account_id,
        booking.kind,
        booking.channel,
        min(booking.month) as first_month,
        count(*) filter (where booking.is_recent and booking.month < run.as_of_month) as bookings
    from {{ ref('alerts_booking') }} as booking
    cross join run
    where booking.is_own and {{ in_part('booking.customer_id') }}
    group by booking.account_id, booking.kind, booking.channel
)

select
    used.account_id,
    used.kind,
    used.channel,
    min(used.first_month) over (partition by used.account_id, used.channel) as first_month,
    -ln(
        (used.bookings + {{ peer_bookings }} * coalesce(peer.share, 0.001))
        / (
            sum(used.bookings) over (partition by used.account_id, used.kind)
            + {{ peer_bookings }}
        )
    ) as surprise
from used
inner join {{ ref('alerts_account') }} as account on used.account_id = account.account_id
left join {{ ref('alerts_peer_channel') }} as peer
    on
        account.product_line = peer.product_line
        and used.kind = peer.kind
        and used.channel = peer.channel
