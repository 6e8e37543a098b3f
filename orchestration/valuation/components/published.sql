select *
from value.account_month
where account_id = $account and month = $month
