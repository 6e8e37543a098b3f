-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
{%- set scope = ['seed.pool', 'seed.product_line', 'seed.branch_id'] %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

refreshed_month as (
    {{ each_month('run', 'month_from', 'month_to') }}
),

pool as (
    select * from {{ in_force(ref('overhead_pool'), scope, 'refreshed_month') }} as in_force
),

cell as (
    select
        driver.month,
        driver.product_line,
        driver.branch_id,
        {%- for name in overhead_drivers() %}
        sum(driver.{{ name }}) as {{ name }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_overhead_driver') }} as driver
    cross join run
    where driver.month between run.month_from and run.month_to
    group by driver.month, driver.product_line, driver.branch_id
),

scoped as (
    select
        pool.pool,
        pool.product_line,
        pool.branch_id,
        pool.month,
        pool.driver,
        pool.monthly_amount,
        pool.amount_per_open_account,
        coalesce(sum(cell.open_account), 0) as open_accounts,
        coalesce(sum({{ driver_units('cell', 'pool.driver') }}), 0) as driver_units
    from pool
    left join cell
        on
            pool.month = cell.month
            and (pool.product_line = '*' or pool.product_line = cell.product_line)
            and (pool.branch_id = '*' or pool.branch_id = cell.branch_id)
    group by
        pool.pool, pool.product_line, pool.branch_id, pool.month, pool.driver,
        pool.monthly_amount, pool.amount_per_open_account
)

select
    pool,
    product_line,
    branch_id,
    month,
    driver,
    cast(driver_units as decimal(38, 0)) as driver_units,
    cast(
        monthly_amount + {{ to_money('amount_per_open_account * open_accounts') }}
        as decimal(18, 2)
    ) as amount
from scoped
