-- The shares of all accounts of the account's pools: the cents that remain after the whole shares
-- go to the largest remainders.
with own as (
    select
        pool,
        product_line,
        branch_id,
        amount
    from value.overhead
    where account_id = $account and month = $month
),

shared as (
    select
        share.account_id,
        share.pool,
        share.product_line,
        share.branch_id,
        share.units,
        share.amount,
        pool.driver,
        pool.driver_units,
        pool.amount as pool_amount,
        cast(cast(pool.amount as decimal(38, 2)) * 100 as hugeint) * share.units // cast(pool.driver_units as hugeint)
            as cents,
        cast(cast(pool.amount as decimal(38, 2)) * 100 as hugeint) * share.units % cast(pool.driver_units as hugeint)
            as remainder
    from own
    inner join value.overhead as share
        on
            own.pool = share.pool
            and own.product_line = share.product_line
            and own.branch_id = share.branch_id
    inner join value.overhead_pool as pool
        on
            share.pool = pool.pool
            and share.product_line = pool.product_line
            and share.branch_id = pool.branch_id
            and share.month = pool.month
    where share.month = $month
),

placed as (
    select
        *,
        row_number() over (
            partition by pool, product_line, branch_id order by remainder desc, account_id
        ) as place,
        cast(cast(pool_amount as decimal(38, 2)) * 100 as hugeint)
        - sum(cents) over (partition by pool, product_line, branch_id) as left_over
    from shared
)

select
    'overhead' as measure,
    pool as part,
    product_line,
    branch_id,
    driver,
    pool_amount,
    units,
    driver_units as all_units,
    amount as allocated,
    cast(cents + case when place <= left_over then 1 else 0 end as varchar) as numerator,
    100 as denominator
from placed
where account_id = $account
order by pool, product_line, branch_id
