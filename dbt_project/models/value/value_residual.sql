{%- set on_credit =
    'account_month.product_line in ' ~ quoted_list(product_lines('is_credit'))
-%}

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

-- The counterparty of the transfer results, by what the price pays for.
transferred as (
    select
        account_month.month,
        account_month.branch_id,
        account_month.product_line,
        sum(account_month.transfer_result) as result,
        sum(account_month.transfer_liquidity) as liquidity,
        sum(account_month.transfer_option) as option,
        sum(account_month.transfer_policy) as policy
    from {{ ref('value_account_branch') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
    group by account_month.month, account_month.branch_id, account_month.product_line
),

treasury as (
    select
        month,
        'treasury: rate' as residual,
        branch_id,
        product_line,
        liquidity + option + policy - result as amount
    from transferred
    {%- for part in ['liquidity', 'option', 'policy'] %}
    union all
    select
        month,
        'treasury: {{ part }}' as residual,
        branch_id,
        product_line,
        -{{ part }} as amount
    from transferred
    where {{ part }} <> 0
    {%- endfor %}
),

-- Result of the month that no booking of the month has: interest accrued less interest booked.
not_booked as (
    select
        account_month.month,
        'interest not booked' as residual,
        account_month.branch_id,
        account_month.product_line,
        sum(
            account_month.interest_income_booked - account_month.interest_income
            - account_month.interest_expense_booked + account_month.interest_expense
        ) as amount
    from {{ ref('value_account_branch') }} as account_month
    cross join run
    where
        account_month.month between run.month_from and run.month_to
        and (
            account_month.interest_income_booked <> account_month.interest_income
            or account_month.interest_expense_booked <> account_month.interest_expense
        )
    group by account_month.month, account_month.branch_id, account_month.product_line
),

-- Balances and accrued interest in other currencies: what customers are owed more, the bank loses.
revalued as (
    select
        account_month.month,
        'revaluation' as residual,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.product_line,
        sum(
            case when {{ on_credit }} then 1 else -1 end * coalesce(accrued.revaluation, 0)
            - account_month.revaluation
        ) as amount
    from {{ ref('base_account_month') }} as account_month
    cross join run
    left join {{ ref('value_accrued_interest') }} as accrued
        on
            account_month.account_id = accrued.account_id
            and account_month.month = accrued.month
    where
        account_month.month between run.month_from and run.month_to
        and account_month.currency is not null
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
),

-- What the bank explains, beside the accounts.
adjusted as (
    select
        adjustment.month,
        'adjustment: ' || adjustment.item as residual,
        adjustment.branch_id,
        adjustment.product_line,
        sum(adjustment.amount) as amount
    from {{ ref('base_adjustment') }} as adjustment
    cross join run
    where adjustment.month between run.month_from and run.month_to
    group by
        adjustment.month, adjustment.item, adjustment.branch_id, adjustment.product_line
),

operating_cost as (
    select operating_cost.*
    from {{ ref('base_operating_cost') }} as operating_cost
    cross join run
    where operating_cost.month between run.month_from and run.month_to
),

cost_month as (
    select distinct month from operating_cost
),

-- The ledger's cost, and less it what is charged: rates x volume, pools, and what is explained.
cost as (
    select
        month,
        branch_id,
        product_line,
        amount
    from operating_cost
    union all
    select
        account_month.month,
        account_month.branch_id,
        account_month.product_line,
        -account_month.direct_cost - account_month.overhead as amount
    from {{ ref('value_account_branch') }} as account_month
    inner join cost_month on account_month.month = cost_month.month
    union all
    -- Delivered items have ledger accounts of their own.
    select
        result.month,
        result.branch_id,
        result.product_line,
        result.amount
    from {{ ref('base_account_result') }} as result
    inner join cost_month on result.month = cost_month.month
    inner join {{ ref('value_account_branch') }} as account_month
        on
            result.account_id = account_month.account_id
            and result.month = account_month.month
            and result.branch_id = account_month.branch_id
    where result.item in {{ quoted_list(result_items('direct_cost', 'adds')) }}
    union all
    select
        unallocated.month,
        unallocated.branch_id,
        unallocated.product_line,
        -unallocated.amount as amount
    from unallocated
    inner join cost_month on unallocated.month = cost_month.month
    union all
    select
        adjusted.month,
        adjusted.branch_id,
        adjusted.product_line,
        -adjusted.amount as amount
    from adjusted
    inner join cost_month on adjusted.month = cost_month.month
    where adjusted.residual = 'adjustment: operating_cost'
),

unused as (
    select
        month,
        'unused capacity' as residual,
        branch_id,
        product_line,
        sum(amount) as amount
    from cost
    group by month, branch_id, product_line
)

{% for part in ['treasury', 'not_booked', 'revalued', 'unallocated', 'adjusted', 'unused'] -%}
select
    month,
    residual,
    branch_id,
    product_line,
    cast(amount as decimal(18, 2)) as amount
from {{ part }}
{{ "union all" if not loop.last }}
{% endfor %}
