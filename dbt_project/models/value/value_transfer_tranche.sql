{{ config(materialized='table') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

history_month as (
    {{ each_month('run', 'first_month', 'as_of_month') }}
),

tranche as (
    select * from {{ in_force(ref('replicating_portfolio'), ['seed.portfolio'], 'history_month') }}
        as in_force
),

-- A tranche of n months consists of n equal slices, one renewed each month. Its rate is the mean of
-- the curve's rates in the months in which the slices were renewed, to ten places.
meant as (
    select
        tranche.portfolio,
        tranche.month,
        tranche.tenor_months,
        tranche.weight,
        {{ divide_units(
            'sum(' ~ units('curve.annual_rate', 6) ~ ') * 10000', 'tranche.tenor_months'
        ) }} as rate
    from tranche
    inner join {{ ref('value_transfer_curve') }} as curve
        on
            tranche.tenor_months = curve.tenor_months
            and tranche.month >= curve.month
            and curve.month > {{ months_later('tranche.month', '-tranche.tenor_months') }}
    group by tranche.portfolio, tranche.month, tranche.tenor_months, tranche.weight
)

select
    portfolio,
    month,
    tenor_months,
    weight,
    cast(
        cast(rate as decimal(18, 0)) * cast(0.0000000001 as decimal(11, 10)) as decimal(12, 10)
    ) as mean_rate
from meant
