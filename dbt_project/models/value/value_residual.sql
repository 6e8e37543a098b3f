with run as (
    select * from {{ ref('base_refresh_window') }}
),

allocated as (
    select
        overhead.pool,
        overhead.product_line,
        overhead.branch_id,
        overhead.month,
        sum(overhead.amount) as amount
    from {{ ref('value_overhead') }} as overhead
    cross join run
    where overhead.month between run.month_from and run.month_to
    group by overhead.pool, overhead.product_line, overhead.branch_id, overhead.month
),

treasury as (
    select
        account_month.month,
        'treasury' as residual,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.product_line,
        -sum(account_month.transfer_result) as amount
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
    group by
        account_month.month, coalesce(account_month.branch_id, '(none)'),
        account_month.product_line
),

-- Result of the month that no booking of the month has: interest accrued less interest booked.
not_booked as (
    select
        account_month.month,
        'interest not booked' as residual,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.product_line,
        sum(
            account_month.interest_income_booked - account_month.interest_income
            - account_month.interest_expense_booked + account_month.interest_expense
        ) as amount
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where
        account_month.month between run.month_from and run.month_to
        and (
            account_month.interest_income_booked <> account_month.interest_income
            or account_month.interest_expense_booked <> account_month.interest_expense
        )
    group by
        account_month.month, coalesce(account_month.branch_id, '(none)'),
        account_month.product_line
),

unallocated as (
    select
        pool.month,
        'unallocated overhead: ' || pool.pool as residual,
        case when pool.branch_id = '*' then '(none)' else pool.branch_id end as branch_id,
        case when pool.product_line = '*' then '(none)' else pool.product_line end
            as product_line,
        sum(pool.amount - coalesce(allocated.amount, 0)) as amount
    from {{ ref('value_overhead_pool') }} as pool
    cross join run
    left join allocated
        on
            pool.pool = allocated.pool
            and pool.product_line = allocated.product_line
            and pool.branch_id = allocated.branch_id
            and pool.month = allocated.month
    where pool.month between run.month_from and run.month_to
    group by
        pool.month, pool.pool,
        case when pool.branch_id = '*' then '(none)' else pool.branch_id end,
        case when pool.product_line = '*' then '(none)' else pool.product_line end
)

select
    month,
    residual,
    branch_id,
    product_line,
    cast(amount as decimal(18, 2)) as amount
from treasury
union all
select
    month,
    residual,
    branch_id,
    product_line,
    cast(amount as decimal(18, 2)) as amount
from not_booked
union all
select
    month,
    residual,
    branch_id,
    product_line,
    cast(amount as decimal(18, 2)) as amount
from unallocated
