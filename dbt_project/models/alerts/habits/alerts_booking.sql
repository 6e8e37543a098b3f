-- Days after the opening in which incoming amounts fund the account and are not judged.
{%- set filled_days = 31 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

booking as (
    select
        booking.*,
        account.customer_id,
        account.opened_on,
        account.closed_on,
        booking.month >= {{ months_later('run.as_of_month', -profile_months()) }} as is_recent,
        abs(booking.amount) as size
    from {{ ref('stg_transaction') }} as booking
    cross join run
    inner join {{ ref('alerts_account') }} as account on booking.account_id = account.account_id
    where
        {{ in_part('account.customer_id') }}
        and booking.month >= {{ months_later('run.as_of_month', -memory_months()) }}
        and booking.month <= run.as_of_month
),

-- A transfer between two accounts of a customer on the same day is not a payment.
moved as (
    select
        customer_id,
        booked_on,
        size
    from booking
    where is_recent
    group by customer_id, booked_on, size
    having sum(amount) = 0 and min(account_id) <> max(account_id)
)

select
    booking.transaction_id,
    booking.account_id,
    booking.customer_id,
    booking.booked_on,
    booking.month,
    booking.kind,
    coalesce(booking.channel, '(none)') as channel,
    booking.amount,
    ln(nullif(cast(booking.size as double), 0)) as size,
    case
        when booking.counterparty_account is not null
            then {{ digest(
                "coalesce(booking.counterparty_bank, '') || ' ' || booking.counterparty_account"
            ) }}
    end as counterparty,
    booking.is_recent,
    (
        {{ is_judged_booking('booking') }}
        and moved.size is null
        and not (
            booking.amount > 0
            and {{ days_from_to('booking.opened_on', 'booking.booked_on') }} < {{ filled_days }}
        )
        -- A closed account is emptied.
        and booking.booked_on is distinct from booking.closed_on
    ) as is_own
from booking
left join moved
    on
        booking.customer_id = moved.customer_id
        and booking.booked_on = moved.booked_on
        and booking.size = moved.size
