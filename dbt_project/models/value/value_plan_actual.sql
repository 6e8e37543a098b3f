{{ config(materialized='table') }}

{%- set planned = {
    'branch': ('value_profit_by_branch', 'branch_id', 'true'),
    'line': ('value_profit_by_line', 'product_line', 'true'),
    'manager': ('value_profit_by_employee', 'employee_id', "role = 'manager'"),
} %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

target as (
    select target.*
    from {{ ref('target') }} as target
    cross join run
    where target.month between run.first_month and run.as_of_month
),

actual as (
    {%- for dimension, (model, key, condition) in planned.items() %}
    {%- for measure in profit_measures() %}
    select
        '{{ dimension }}' as dimension,
        {{ key }} as dimension_key,
        month,
        '{{ measure }}' as measure,
        {{ measure }} as amount
    from {{ ref(model) }}
    where {{ condition }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- A month without a target counts in the year to date all the same.
compared as (
    select
        target.dimension,
        target.dimension_key,
        target.month,
        target.measure,
        target.amount as target,
        coalesce(
            sum(case when actual.month = target.month then actual.amount end), 0
        ) as actual,
        coalesce(sum(actual.amount), 0) as actual_year_to_date
    from target
    left join actual
        on
            target.dimension = actual.dimension
            and target.dimension_key = actual.dimension_key
            and target.measure = actual.measure
            and target.month >= actual.month
            and year(target.month) = year(actual.month)
    group by
        target.dimension, target.dimension_key, target.month, target.measure, target.amount
),

cumulated as (
    select
        *,
        sum(target) over (
            partition by dimension, dimension_key, measure, year(month) order by month
            rows between unbounded preceding and current row
        ) as target_year_to_date
    from compared
)

select
    dimension,
    dimension_key,
    month,
    measure,
    cast(target as decimal(18, 2)) as target,
    cast(actual as decimal(18, 2)) as actual,
    cast(actual - target as decimal(18, 2)) as difference,
    cast(target_year_to_date as decimal(18, 2)) as target_year_to_date,
    cast(actual_year_to_date as decimal(18, 2)) as actual_year_to_date,
    cast(actual_year_to_date - target_year_to_date as decimal(18, 2))
        as difference_year_to_date,
    case
        when target > 0
            then cast(
                round(cast(actual as double) / cast(target as double), 6) as decimal(18, 6)
            )
    end as attainment
from cumulated
