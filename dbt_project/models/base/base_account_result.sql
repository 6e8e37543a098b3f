{{ config(materialized='incremental') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
)

select
    result.account_id,
    result.month,
    result.item,
    coalesce(account_month.branch_id, '(none)') as branch_id,
    coalesce(account_month.product_line, '(none)') as product_line,
    cast(sum(result.amount) as decimal(18, 2)) as amount
from {{ ref('stg_account_result') }} as result
cross join run
left join {{ ref('base_account_month') }} as account_month
    on
        result.account_id = account_month.account_id
        and result.month = account_month.month
where result.month between run.month_from and run.month_to
group by
    result.account_id, result.month, result.item, coalesce(account_month.branch_id, '(none)'),
    coalesce(account_month.product_line, '(none)')
