select
    item,
    amount
from base.account_result
where account_id = $account and month = $month
order by item
