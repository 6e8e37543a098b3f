{{ config(materialized='table') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

parameter as (
    select parameter.*
    from {{ ref('value_product_parameter') }} as parameter
    inner join run on parameter.month = run.as_of_month
),

curve as (
    select curve.*
    from {{ ref('value_transfer_curve') }} as curve
    inner join run on curve.month = run.as_of_month
)

select
    parameter.product_id,
    0 as term_months,
    cast(null as integer) as tenor_months,
    parameter.spread,
    parameter.transfer_price
from parameter
union all
-- The rate of a term is fixed for the agreed time at most. Money off the books has no price.
select
    parameter.product_id,
    term.tenor_months as term_months,
    curve.tenor_months,
    parameter.spread,
    cast(
        case when parameter.is_funded then curve.annual_rate + parameter.spread else 0 end
        as decimal(9, 6)
    ) as transfer_price
from parameter
cross join curve as term
inner join curve
    on
        least(term.tenor_months, coalesce(parameter.repricing_months, term.tenor_months))
        = curve.tenor_months
