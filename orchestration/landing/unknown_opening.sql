-- Accounts opened before the first month of bookings whose balance is not known in it
-- (`base.account_month`), from the landed records.
with first_day as (
    -- The first day, and whether one of its bookings has the balance after it.
    select account_id, min({'day': booked_on, 'without': balance_after is null}) as booking
    from landing.transaction
    where month = $first_month
    group by account_id
)

select count(*)
from landing.account
left join first_day on account.account_id = first_day.account_id
where
    extract_month = (select max(extract_month) from landing.account)
    and opened_on < $first_month
    and (closed_on is null or closed_on >= $first_month)
    and coalesce(first_day.booking.without, true)
    and account.account_id not in (
        select account_id from landing.account_balance where month <= $first_month
    )
