-- Deposits and investments that mature within the next quarter.
select count(*) as count, min(matures_on) as due, sum(closing_balance) as amount
from base.account
left join base.account_holder as holder
    on account.account_id = holder.account_id and holder.holder_number = 1
where
    is_open and closing_balance > 0
    and coalesce(not list_contains($barred, holder.customer_id), true)
    and matures_on > last_day($month) and matures_on <= last_day($month + interval 3 month)
