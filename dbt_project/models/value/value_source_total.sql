{{ config(materialized='view') }}

with booked as (
    select
        activity.month,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.product_line,
        sum(case when activity.kind = 'interest_charged' then -activity.amount else 0 end)
            as interest_income,
        sum(case when activity.kind = 'interest_paid' then activity.amount else 0 end)
            as interest_expense,
        sum(case when activity.kind in ('fee', 'penalty') then -activity.amount else 0 end)
            as fee_income
    from {{ ref('base_account_activity') }} as activity
    inner join {{ ref('base_account_month') }} as account_month
        on
            activity.account_id = account_month.account_id
            and activity.month = account_month.month
    group by
        activity.month, coalesce(account_month.branch_id, '(none)'), account_month.product_line
),

balance as (
    select
        month,
        coalesce(branch_id, '(none)') as branch_id,
        product_line,
        sum(closing_balance) as customer_balance
    from {{ ref('base_account_month') }}
    group by month, coalesce(branch_id, '(none)'), product_line
),

item as (
    select
        month,
        branch_id,
        product_line,
        item,
        sum(amount) as amount
    from {{ ref('base_account_result') }}
    group by month, branch_id, product_line, item
)

{%- for name in ['interest_income', 'interest_expense', 'fee_income', 'customer_balance'] %}

select
    month,
    branch_id,
    product_line,
    '{{ name }}' as ledger_account,
    cast({{ name }} as decimal(18, 2)) as amount
from {{ 'balance' if name == 'customer_balance' else 'booked' }}
union all
{%- endfor %}

select
    month,
    branch_id,
    product_line,
    item as ledger_account,
    cast(amount as decimal(18, 2)) as amount
from item
