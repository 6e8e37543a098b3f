{{ config(materialized='view') }}

select
    account_month.account_id,
    account_month.month,
    account_month.product_line,
    coalesce(account_month.branch_id, '(none)') as branch_id,
    case when account_month.days_open > 0 then 1 else 0 end as open_account,
    case when {{ month_of('account.opened_on') }} = account_month.month then 1 else 0 end
        as opened_account,
    account_month.bookings as booking,
    account_month.bookings_branch as branch_booking,
    cast(abs(account_month.average_balance) * 100 as bigint) as average_balance,
    cast(greatest(-account_month.closing_balance, 0) * 100 as bigint) as amount_owed,
    case when account_month.days_past_due > 0 then 1 else 0 end as past_due_account
from {{ ref('base_account_month') }} as account_month
inner join {{ ref('base_account') }} as account on account_month.account_id = account.account_id
