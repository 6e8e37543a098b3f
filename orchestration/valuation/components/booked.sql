select
    cast(coalesce(sum(bookings), 0) as bigint) as bookings,
    coalesce(sum(coalesce(foreign_amount, amount)), 0) as amount
from base.account_activity
where account_id = $account and month = $month
