-- Of the account-months from $first to $last, those with a known balance.
select coalesce(avg(is_balance_known::integer), 1) as share
from base.account_month
where month between $first and $last
