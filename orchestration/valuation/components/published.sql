select
    *,
    economic_profit as credited_profit
from value.account_month
where account_id = $account and month = $month
