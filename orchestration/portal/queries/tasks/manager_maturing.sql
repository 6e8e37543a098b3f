-- Deposits and investments that mature within the next quarter.
select count(*) as count, min(matures_on) as due, sum(closing_balance) as amount
from base.account
where
    is_open and closing_balance > 0
    and matures_on > last_day($month) and matures_on <= last_day($month + interval 3 month)
