-- Of a term: the curve of the month of the agreement; otherwise a portfolio's tranches. The spread
-- comes on top of what is rounded before.
with priced as (
    select
        value.month,
        value.curve_month,
        value.curve_tenor,
        value.overdrawn_price,
        parameter.portfolio,
        parameter.overdrawn_portfolio,
        parameter.spread
    from value.account_month as value
    inner join value.product_parameter as parameter
        on value.product_id = parameter.product_id and value.month = parameter.month
    where value.account_id = $account and value.month = $month
),

portfolio as (
    select
        'transfer_price' as measure,
        month,
        portfolio,
        spread
    from priced
    where curve_month is null
    union all
    select
        'overdrawn_price' as measure,
        month,
        overdrawn_portfolio as portfolio,
        spread
    from priced
    where overdrawn_price is not null
),

tranche as (
    select
        portfolio.measure,
        portfolio.spread,
        tranche.*
    from portfolio
    inner join value.transfer_tranche as tranche
        on portfolio.portfolio = tranche.portfolio and portfolio.month = tranche.month
)

select
    'transfer_price' as measure,
    1 as step,
    'curve of the month of the agreement' as part,
    curve.month as curve_month,
    curve.tenor_months,
    curve.tenor_below,
    curve.rate_below,
    curve.tenor_above,
    curve.rate_above,
    null as portfolio,
    null as weight,
    null as mean_rate,
    cast(
        case
            when curve.tenor_above > curve.tenor_below
                then
                    curve.rate_below * (curve.tenor_above - curve.tenor_months)
                    + curve.rate_above * (curve.tenor_months - curve.tenor_below)
            else curve.rate_below
        end
        as varchar
    ) as numerator,
    greatest(curve.tenor_above - curve.tenor_below, 1) as denominator
from priced
inner join value.transfer_curve as curve
    on priced.curve_month = curve.month and priced.curve_tenor = curve.tenor_months
union all
select
    measure,
    1 as step,
    'tranche' as part,
    null as curve_month,
    tenor_months,
    null as tenor_below,
    null as rate_below,
    null as tenor_above,
    null as rate_above,
    portfolio,
    weight,
    mean_rate,
    cast(weight * mean_rate as varchar) as numerator,
    1 as denominator
from tranche
union all
select
    measure,
    2 as step,
    'spread' as part,
    null as curve_month,
    null as tenor_months,
    null as tenor_below,
    null as rate_below,
    null as tenor_above,
    null as rate_above,
    null as portfolio,
    null as weight,
    null as mean_rate,
    cast(spread as varchar) as numerator,
    1 as denominator
from (
    select distinct
        measure,
        spread
    from tranche
    union all
    select
        'transfer_price' as measure,
        spread
    from priced
    where curve_month is not null
)
order by measure desc, step, tenor_months
