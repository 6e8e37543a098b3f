-- The linter loses the indentation of columns written by a loop.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

customer_profit as (
    {{- profit_with_attribute('household_id') }}
),

{{ roll_up('customer_profit', {'household_id': 'household_id'}) }}
