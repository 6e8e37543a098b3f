{{ config(materialized='table') }}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

parameter as (
    select parameter.*
    from {{ ref('value_product_parameter') }} as parameter
    inner join run on parameter.month = run.as_of_month
),

-- A new deal is in the bank's currency.
curve as (
    select curve.*
    from {{ ref('value_transfer_curve') }} as curve
    inner join run on curve.month = run.as_of_month
    where curve.currency = '*'
),

premium as (
    select premium.*
    from {{ ref('value_transfer_premium') }} as premium
    inner join run
        on
            premium.effective_from <= run.as_of_month
            and (premium.effective_to is null or premium.effective_to > run.as_of_month)
),

-- The rate of a term is fixed for the agreed time at most, the liquidity is bound for all of it.
termed as (
    select
        parameter.product_id,
        term.tenor_months as term_months,
        parameter.is_funded,
        {{ rate_tenor(
            'parameter.tenor_basis',
            'least(term.tenor_months, coalesce(parameter.repricing_months, term.tenor_months))',
            'term.tenor_months'
        ) }} as tenor_months,
        {{ rate_tenor('parameter.tenor_basis', 'term.tenor_months', 'term.tenor_months') }}
            as liquidity_tenor
    from parameter
    cross join curve as term
),

-- Money off the books has no price.
priced as (
    select
        termed.product_id,
        termed.term_months,
        termed.tenor_months,
        termed.liquidity_tenor,
        case when termed.is_funded then curve.annual_rate else 0 end as base_rate,
        {%- for part in premium_parts() %}
        {%- set source = 'bound' if part == 'liquidity_premium' else 'premium' %}
        case when termed.is_funded then coalesce({{ source }}.{{ part }}, 0) else 0 end
            as {{ part }}{{ "," if not loop.last }}
        {%- endfor %}
    from termed
    inner join curve on termed.tenor_months = curve.tenor_months
    left join premium
        on
            termed.product_id = premium.product_id
            and termed.tenor_months = premium.tenor_months
    left join premium as bound
        on
            termed.product_id = bound.product_id
            and termed.liquidity_tenor = bound.tenor_months
    union all
    select
        parameter.product_id,
        0 as term_months,
        cast(null as integer) as tenor_months,
        cast(null as integer) as liquidity_tenor,
        parameter.transfer_price - {{ premium_parts() | join(' - ') }} as base_rate,
        {{ premium_parts() | join(', ') }}
    from parameter
)

select
    product_id,
    term_months,
    tenor_months,
    liquidity_tenor,
    {%- for part in ['base_rate'] + premium_parts() %}
    cast({{ part }} as decimal(9, 6)) as {{ part }},
    {%- endfor %}
    cast(base_rate + {{ premium_parts() | join(' + ') }} as decimal(9, 6)) as transfer_price
from priced
