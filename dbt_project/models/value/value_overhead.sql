with run as (
    select * from {{ ref('base_refresh_window') }}
),

pool as (
    select
        pool.*,
        {{ units('pool.amount') }} as cents,
        {{ units('pool.driver_units', 0) }} as all_units,
        row_number() over (
            order by pool.pool, pool.product_line, pool.branch_id, pool.month
        ) as number
    from {{ ref('value_overhead_pool') }} as pool
    cross join run
    where pool.month between run.month_from and run.month_to and pool.driver_units > 0
),

driven as (
    select
        driver.account_id,
        pool.number,
        pool.cents,
        pool.all_units,
        cast({{ driver_units('driver', 'pool.driver') }} as bigint) as units
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
        number,
        units,
        cents,
        all_units,
        cast({{ large_share('cents * units', 'all_units') }} as bigint) as share
    from driven
    where units > 0
),

-- The larger a remainder, the higher its step: equal remainders are on one.
stepped as (
    select
        account_id,
        number,
        units,
        share,
        cast(cents * units - share * all_units as bigint) as remainder,
        cast(
            floor(
                cast(cents * units - share * all_units as double) / cast(all_units as double) * 1000
            ) as integer
        ) as step
    from floored
),

step as (
    select
        number,
        step,
        count(*) as accounts,
        sum(share) as share
    from stepped
    group by number, step
),

-- The cents that remain after the whole shares, fewer than the accounts, go to the highest steps.
given as (
    select
        step.number,
        step.step,
        step.accounts,
        pool.cents
        - sum(step.share) over (partition by step.number)
        - coalesce(
            sum(step.accounts) over (
                partition by step.number order by step.step desc
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as cents
    from step
    inner join pool on step.number = pool.number
),

placed as (
    select
        stepped.*,
        given.accounts,
        given.cents
    from stepped
    inner join given on stepped.number = given.number and stepped.step = given.step
),

-- Only where there are fewer cents than accounts does the order within a step matter.
rounded as (
    select
        account_id,
        number,
        units,
        share + case when cents > 0 then 1 else 0 end as cents
    from placed
    where cents <= 0 or cents >= accounts
    union all
    select
        account_id,
        number,
        units,
        share
        + case
            when
                row_number() over (
                    partition by number order by remainder desc, account_id asc
                ) <= cents then 1
            else 0
        end as cents
    from placed
    where cents > 0 and cents < accounts
)

select
    rounded.account_id,
    pool.month,
    pool.pool,
    pool.product_line,
    pool.branch_id,
    rounded.units,
    {{ from_cents('rounded.cents') }} as amount
from rounded
inner join pool on rounded.number = pool.number
