select
    'average_balance' as measure,
    'day sum of the balance' as part,
    balance_day_sum as day_sum,
    days_in_month as days,
    cast(balance_day_sum as varchar) as numerator,
    days_in_month as denominator
from base.account_month
where account_id = $account and month = $month and balance_day_sum is not null
