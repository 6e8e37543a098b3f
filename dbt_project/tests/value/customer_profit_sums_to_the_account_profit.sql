{%- set measures = [
    'average_balance', 'closing_balance', 'net_interest_margin', 'fee_income', 'direct_cost',
    'expected_loss', 'contribution_margin',
] -%}
{{ config(meta={'dagster': {'ref': {'name': 'value_profit_by_customer'}}}) }}

-- The linter loses the indentation of columns written by a loop.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with by_account as (
    select
        month
        {%- for measure in measures %},
        sum({{ measure }}) as {{ measure }}
        {%- endfor %}
    from {{ ref('value_account_month') }}
    group by month
),

by_customer as (
    select
        month
        {%- for measure in measures %},
        sum({{ measure }}) as {{ measure }}
        {%- endfor %}
    from {{ ref('value_profit_by_customer') }}
    group by month
)

select
    coalesce(by_account.month, by_customer.month) as month
    {%- for measure in measures %},
    by_customer.{{ measure }} - by_account.{{ measure }} as {{ measure }}_difference
    {%- endfor %}
from by_account
full outer join by_customer on by_account.month = by_customer.month
where
    {%- for measure in measures %}
    {% if not loop.first %}or {% endif -%}
    by_account.{{ measure }} is distinct from by_customer.{{ measure }}
    {%- endfor %}
