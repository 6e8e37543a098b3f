{{ config(materialized='view') }}

with activity as (
    select
        activity.month,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.product_line,
        {%- for name, (kinds, amount) in booked_results().items() %}
        case
            when activity.kind in {{ kinds }}
                then {{ amount | replace('amount', 'activity.amount') }}
            else 0
        end as {{ name }},
        {%- endfor %}
        0 as customer_balance
    from {{ ref('base_account_activity') }} as activity
    inner join {{ ref('base_account_month') }} as account_month
        on
            activity.account_id = account_month.account_id
            and activity.month = account_month.month
    {{- bookings_before_moves() }}
),

booked as (
    select
        month,
        branch_id,
        product_line,
        sum(interest_income) as interest_income,
        sum(interest_expense) as interest_expense,
        sum(fee_income) as fee_income
    from activity
    group by month, branch_id, product_line
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

{%- for name in booked_accounts() %}

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
