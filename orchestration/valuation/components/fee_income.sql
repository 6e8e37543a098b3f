select
    'fee_income' as measure,
    'bookings' as part,
    kind,
    channel,
    bookings,
    cast(-amount as varchar) as numerator,
    1 as denominator
from base.account_activity
where account_id = $account and month = $month and kind in ('fee', 'penalty')
order by kind, channel
