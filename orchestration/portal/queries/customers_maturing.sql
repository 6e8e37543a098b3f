-- Accounts with money that matures within the next quarter, with the first of their owners.
select
    account.account_id,
    holder.customer_id,
    customer.employee_id,
    coalesce(customer.branch_id, account.branch_id) as branch_id,
    coalesce(account.product_name, account.product_id) as product_name,
    account.matures_on,
    account.closing_balance,
    account.interest_rate
from base.account as account
left join base.account_holder as holder
    on account.account_id = holder.account_id and holder.holder_number = 1
left join base.customer as customer on holder.customer_id = customer.customer_id
where
    account.is_open and account.closing_balance > 0
    and account.matures_on > last_day($month)
    and account.matures_on <= last_day($month + interval 3 month)
    and coalesce(not list_contains($barred, holder.customer_id), true)
order by account.matures_on, account.closing_balance desc, account.account_id
