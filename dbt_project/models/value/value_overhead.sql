with run as (
    select * from {{ ref('base_refresh_window') }}
),

pool as (
    select
        pool.*,
        {{ units('pool.amount') }} as cents
    from {{ ref('value_overhead_pool') }} as pool
    cross join run
    where pool.month between run.month_from and run.month_to and pool.driver_units > 0
),

driven as (
    select
        driver.account_id,
        pool.month,
        pool.pool,
        pool.product_line,
        pool.branch_id,
        pool.cents,
        {{ units(driver_units('driver', 'pool.driver'), 0) }} as units,
        {{ units('pool.driver_units', 0) }} as all_units
    from pool
    inner join {{ ref('value_overhead_driver') }} as driver
        on
            pool.month = driver.month
            and (pool.product_line = '*' or pool.product_line = driver.product_line)
            and (pool.branch_id = '*' or pool.branch_id = driver.branch_id)
),

floored as (
    select
        account_id,
        month,
        pool,
        product_line,
        branch_id,
        units,
        cents,
        {{ whole_share('cents * units', 'all_units') }} as share,
        cents * units % all_units as remainder
    from driven
    where units > 0
),

-- The cents that remain after the whole shares: fewer than the accounts.
left_over as (
    select
        pool,
        product_line,
        branch_id,
        month,
        max(cents) - sum(share) as cents
    from floored
    group by pool, product_line, branch_id, month
),

ranked as (
    select
        floored.account_id,
        floored.month,
        floored.pool,
        floored.product_line,
        floored.branch_id,
        floored.units,
        floored.share,
        left_over.cents as left_over,
        row_number() over (
            partition by floored.pool, floored.product_line, floored.branch_id, floored.month
            order by floored.remainder desc, floored.account_id asc
        ) as place
    from floored
    inner join left_over
        on
            floored.pool = left_over.pool
            and floored.product_line = left_over.product_line
            and floored.branch_id = left_over.branch_id
            and floored.month = left_over.month
)

select
    account_id,
    month,
    pool,
    product_line,
    branch_id,
    cast(units as bigint) as units,
    {{ from_cents('share + case when place <= left_over then 1 else 0 end') }} as amount
from ranked
