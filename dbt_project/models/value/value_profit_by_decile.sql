-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

customer_profit as (
    select
        profit.*,
        coalesce(customer.decile, 0) as decile
    from {{ ref('value_profit_by_customer') }} as profit
    cross join run
    left join {{ ref('value_customer_tier') }} as customer
        on profit.customer_id = customer.customer_id and profit.month = customer.month
    where profit.month between run.month_from and run.month_to
),

{{ roll_up('customer_profit', {'decile': 'decile'}) }}
