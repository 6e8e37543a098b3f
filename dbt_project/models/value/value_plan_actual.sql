{{ config(materialized='table') }}

{%- set planned = {
    'branch': ('value_profit_by_branch', 'branch_id', 'true'),
    'line': ('value_profit_by_line', 'product_line', 'true'),
    'product': ('value_profit_by_product', 'product_id', 'true'),
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

counted_month as (
    select distinct month from target
    where measure = 'customers'
),

-- Customers who own an account that is open on any day of the month, once in each place.
held as (
    select distinct
        account_month.month,
        holder.customer_id,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.product_line,
        account_month.product_id,
        coalesce(customer.employee_id, '(none)') as employee_id
    from {{ ref('base_account_month') }} as account_month
    inner join counted_month on account_month.month = counted_month.month
    inner join {{ ref('base_account_holder') }} as holder
        on account_month.account_id = holder.account_id and holder.is_beneficial
    left join {{ ref('base_customer_history') }} as customer
        on
            holder.customer_id = customer.customer_id
            and customer.valid_from <= last_day(account_month.month)
            and (
                customer.valid_to is null or customer.valid_to > last_day(account_month.month)
            )
    where account_month.days_open > 0
),

actual as (
    {%- for dimension, (_, key, _) in planned.items() %}
    select
        '{{ dimension }}' as dimension,
        {{ key }} as dimension_key,
        month,
        'customers' as measure,
        count(distinct customer_id) as amount
    from held
    group by {{ key }}, month
    union all
    {%- endfor %}
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

-- A month without a target counts in the year to date all the same. Customers do not add up over
-- months: the year to date is the month.
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
            and (target.measure <> 'customers' or target.month = actual.month)
    group by
        target.dimension, target.dimension_key, target.month, target.measure, target.amount
),

cumulated as (
    select
        *,
        case
            when measure = 'customers' then target
            else sum(target) over (
                partition by dimension, dimension_key, measure, year(month) order by month
                rows between unbounded preceding and current row
            )
        end as target_year_to_date
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
