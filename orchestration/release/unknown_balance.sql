-- Accounts of the month without a known balance, which are not priced, and what they contributed.
select
    count(*) as accounts,
    count(*) filter (not balance.is_balance_known) as unknown,
    sum(result.contribution_margin) filter (not balance.is_balance_known) as contribution_margin
from base.account_month as balance
inner join value.account_month as result
    on balance.account_id = result.account_id and balance.month = result.month
where balance.month = $month
