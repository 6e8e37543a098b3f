{{ config(materialized='table') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

history_month as (
    {{ each_month('run', 'first_month', 'as_of_month') }}
),

product as (
    select distinct
        product_id,
        product_line
    from {{ ref('base_account_month') }}
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
    cast(
        coalesce(transfer_price.annual_rate + transfer_rule.spread, 0) as decimal(9, 6)
    ) as transfer_price,
    cast(
        coalesce(overdrawn_price.annual_rate + transfer_rule.spread, 0) as decimal(9, 6)
    ) as overdrawn_price,
    transfer_rule.portfolio <> '(none)' as is_funded,
    transfer_rule.portfolio,
    transfer_rule.overdrawn_portfolio,
    transfer_rule.repricing_months,
    transfer_rule.spread,
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
left join {{ ref('value_transfer_price') }} as transfer_price
    on
        transfer_rule.portfolio = transfer_price.portfolio
        and history_month.month = transfer_price.month
left join {{ ref('value_transfer_price') }} as overdrawn_price
    on
        transfer_rule.overdrawn_portfolio = overdrawn_price.portfolio
        and history_month.month = overdrawn_price.month
