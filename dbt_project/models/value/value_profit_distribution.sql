with run as (
    select * from {{ ref('base_refresh_window') }}
),

percentile as (
    select
        customer.month,
        customer.percentile,
        min(customer.decile) as decile,
        count(*) as customers,
        sum(customer.economic_profit_12m) as economic_profit_12m,
        sum(customer.contribution_margin_12m) as contribution_margin_12m
    from {{ ref('value_customer_tier') }} as customer
    cross join run
    where
        customer.month between run.month_from and run.month_to
        and customer.percentile is not null
    group by customer.month, customer.percentile
),

summed as (
    select
        *,
        sum(customers) over so_far as cumulative_customers,
        sum(economic_profit_12m) over so_far as cumulative_profit,
        sum(customers) over (partition by month) as all_customers,
        sum(economic_profit_12m) over (partition by month) as all_profit
    from percentile
    window so_far as (
        partition by month order by percentile
        rows between unbounded preceding and current row
    )
)

select
    month,
    cast(percentile as integer) as percentile,
    cast(decile as integer) as decile,
    cast(customers as integer) as customers,
    cast(economic_profit_12m as decimal(18, 2)) as economic_profit_12m,
    cast(contribution_margin_12m as decimal(18, 2)) as contribution_margin_12m,
    cast(cumulative_customers as integer) as cumulative_customers,
    cast(cumulative_profit as decimal(18, 2)) as cumulative_economic_profit_12m,
    cast(
        {{ ratio('cast(cumulative_customers as double)', 'all_customers') }} as decimal(9, 6)
    ) as cumulative_customer_share,
    -- A share of the total of all customers is meaningless if the total is not above zero.
    case
        when all_profit > 0
            then cast(
                cast(cumulative_profit as double) / cast(all_profit as double) as decimal(18, 6)
            )
    end as cumulative_profit_share
from summed
