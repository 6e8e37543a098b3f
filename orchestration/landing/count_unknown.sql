-- Accounts of the latest month without a known balance, and those of the lines that lend.
select
    count(*) filter (not is_balance_known),
    count(*) filter (list_contains($credit, product_line))
from base.account_month
where month = (select max(month) from base.account_month)
