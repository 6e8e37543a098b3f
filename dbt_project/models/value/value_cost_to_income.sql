with run as (
    select * from {{ ref('base_refresh_window') }}
),

measured as (
    {%- for name, key in {'branch': 'branch_id', 'line': 'product_line'}.items() %}
    select
        '{{ name }}' as dimension,
        profit.{{ key }} as dimension_key,
        profit.month,
        cast(profit.net_interest_margin + profit.fee_income as decimal(18, 2)) as income,
        cast(profit.direct_cost + profit.overhead as decimal(18, 2)) as operating_cost
    from {{ ref('value_profit_by_' ~ name) }} as profit
    cross join run
    where profit.month between run.month_from and run.month_to
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    dimension,
    dimension_key,
    month,
    income,
    operating_cost,
    case
        when income > 0
            then cast(
                round(cast(operating_cost as double) / cast(income as double), 6)
                as decimal(18, 6)
            )
    end as cost_to_income
from measured
