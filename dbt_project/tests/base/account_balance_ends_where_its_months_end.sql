{{ config(meta={'dagster': {'ref': {'name': 'base_account'}}}) }}
-- The balance as of the as-of date is one sum of the bookings; the months' balances are cumulated.
-- An account closed before the history has no months and no balance.
with last_month as (
    select
        account_id,
        max_by(coalesce(foreign_closing_balance, closing_balance), month) as closing_balance
    from {{ ref('base_account_month') }}
    group by account_id
)

select
    account.account_id,
    account.closing_balance,
    last_month.closing_balance as last_month_closing_balance
from {{ ref('base_account') }} as account
left join last_month on account.account_id = last_month.account_id
where
    account.closing_balance is distinct from last_month.closing_balance
    and (last_month.account_id is not null or account.closing_balance <> 0)
