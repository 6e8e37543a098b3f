{{ config(materialized='table') }}

{%- set columns = ['month'] + additive_measures() -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with part as (
    select
        'branch' as dimension,
        coalesce(account.branch_id, '(none)') as dimension_key,
        {%- for column in columns %}
        account_month.{{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_account_month') }} as account_month
    left join {{ ref('base_account') }} as account
        on account_month.account_id = account.account_id
    union all
    select
        'manager' as dimension,
        coalesce(customer.employee_id, '(none)') as dimension_key,
        {%- for column in columns %}
        profit.{{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_profit_by_customer') }} as profit
    left join {{ ref('base_customer') }} as customer on profit.customer_id = customer.customer_id
),

{{ roll_up('part', {'dimension': 'dimension', 'dimension_key': 'dimension_key'}) }}
