{{ config(materialized='table') }}

{%- set rates = {'annual_rate': 'mean_rate'} -%}
{%- for part in premium_parts() -%}{%- do rates.update({part: 'mean_' ~ part}) -%}{%- endfor -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

history_month as (
    {{ each_month('run', 'first_month', 'as_of_month') }}
),

product as (
    {{ held_products() }}
),

own_curve as (
    select distinct currency from {{ ref('value_transfer_curve') }}
),

-- The curves that price the product: that of its accounts' currency, and of a new account.
priced_by as (
    select
        product_id,
        '*' as currency
    from product
    union all
    select distinct
        account_month.product_id,
        account_month.currency
    from {{ ref('base_account_month') }} as account_month
    inner join own_curve on account_month.currency = own_curve.currency
),

transfer_rule as (
    select * from {{ in_force_by_product(ref('transfer_rule'), 'history_month', 'product') }}
        as in_force
),

-- Each product's portfolio on either side of zero.
side as (
    select
        for_product_id as product_id,
        month,
        'above zero' as side,
        portfolio
    from transfer_rule
    union all
    select
        for_product_id as product_id,
        month,
        'below zero' as side,
        overdrawn_portfolio as portfolio
    from transfer_rule
),

tranche as (
    select * from {{ in_force(ref('replicating_portfolio'), ['seed.portfolio'], 'history_month') }}
        as in_force
),

-- A tranche of n months consists of n equal slices, one renewed each month. Its rate and premiums
-- are the means of those in the months in which the slices were renewed, to ten places.
meant as (
    select
        side.product_id,
        curve.currency,
        side.month,
        side.side,
        side.portfolio,
        tranche.tenor_months,
        tranche.weight,
        {%- for rate, mean in rates.items() %}
        {{ divide_units(
            'sum(' ~ units('coalesce(' ~ rate ~ ', 0)', 6) ~ ') * 10000', 'tranche.tenor_months'
        ) }} as {{ mean }}{{ "," if not loop.last }}
        {%- endfor %}
    from side
    inner join tranche on side.portfolio = tranche.portfolio and side.month = tranche.month
    inner join priced_by on side.product_id = priced_by.product_id
    inner join {{ ref('value_transfer_curve') }} as curve
        on
            priced_by.currency = curve.currency
            and tranche.tenor_months = curve.tenor_months
            and tranche.month >= curve.month
            and curve.month > {{ months_later('tranche.month', '-tranche.tenor_months') }}
    left join {{ ref('value_transfer_premium') }} as premium
        on
            side.product_id = premium.product_id
            and tranche.tenor_months = premium.tenor_months
            and curve.month >= premium.effective_from
            and (premium.effective_to is null or curve.month < premium.effective_to)
    group by
        side.product_id, curve.currency, side.month, side.side, side.portfolio,
        tranche.tenor_months, tranche.weight
)

select
    product_id,
    currency,
    month,
    side,
    portfolio,
    tenor_months,
    weight,
    {%- for mean in rates.values() %}
    cast(
        cast({{ mean }} as decimal(18, 0)) * cast(0.0000000001 as decimal(11, 10))
        as decimal(12, 10)
    ) as {{ mean }}{{ "," if not loop.last }}
    {%- endfor %}
from meant
