{{ config(materialized='table') }}

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

transfer_rule as (
    select * from {{ in_force_by_product(ref('transfer_rule'), 'history_month', 'product') }}
        as in_force
),

interest_rule as (
    select * from {{ in_force_by_product(ref('interest_rule'), 'history_month', 'product') }}
        as in_force
),

maintenance as (
    select *
    from {{ in_force_by_product(ref('account_maintenance_cost'), 'history_month', 'product') }}
        as in_force
),

risk as (
    select * from {{ in_force_by_product(ref('risk_parameter'), 'history_month', 'product') }}
        as in_force
),

hurdle as (
    select * from {{ in_force(ref('hurdle_rate'), [], 'history_month') }} as in_force
)

select
    product.product_id,
    history_month.month,
    product.product_line,
    {%- for name, side in {'': 'priced', 'overdrawn_': 'overdrawn'}.items() %}
    cast(coalesce({{ side }}.annual_rate, 0) as decimal(9, 6))
        as {{ 'overdrawn_price' if name else 'transfer_price' }},
    {%- for part in premium_parts() %}
    cast(coalesce({{ side }}.{{ part }}, 0) as decimal(9, 6)) as {{ name }}{{ part }},
    {%- endfor %}
    {%- endfor %}
    transfer_rule.portfolio <> '(none)' as is_funded,
    transfer_rule.portfolio,
    transfer_rule.overdrawn_portfolio,
    transfer_rule.repricing_months,
    transfer_rule.tenor_basis,
    transfer_rule.is_capital_funded,
    interest_rule.is_accrued,
    interest_rule.day_count,
    maintenance.monthly_cost as maintenance_cost,
    risk.loss_given_default,
    risk.credit_conversion_factor,
    risk.capital_weight,
    hurdle.annual_rate as hurdle_rate
from product
cross join history_month
inner join transfer_rule
    on
        product.product_id = transfer_rule.for_product_id
        and history_month.month = transfer_rule.month
inner join interest_rule
    on
        product.product_id = interest_rule.for_product_id
        and history_month.month = interest_rule.month
inner join maintenance
    on
        product.product_id = maintenance.for_product_id
        and history_month.month = maintenance.month
inner join risk
    on product.product_id = risk.for_product_id and history_month.month = risk.month
inner join hurdle on history_month.month = hurdle.month
{%- for side in ['priced', 'overdrawn'] %}
left join {{ ref('value_transfer_price') }} as {{ side }}
    on
        product.product_id = {{ side }}.product_id
        and {{ side }}.currency = '*'
        and history_month.month = {{ side }}.month
        and {{ side }}.side = '{{ 'above' if side == 'priced' else 'below' }} zero'
{%- endfor %}
