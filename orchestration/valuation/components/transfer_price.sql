-- Of a term: the curve and the premiums of the month of the agreement, the liquidity premium of the
-- month in which the term began; otherwise a portfolio's tranches. Each part of the price is rounded.
with priced as (
    select
        value.product_id,
        value.month,
        value.curve_currency,
        value.curve_month,
        value.curve_tenor,
        value.liquidity_month,
        value.liquidity_tenor,
        value.overdrawn_price
    from value.account_month as value
    where value.account_id = $account and value.month = $month
),

tranche as (
    select
        case when tranche.side = 'above zero' then 'transfer_price' else 'overdrawn_price' end
            as measure,
        tranche.*
    from priced
    inner join value.transfer_tranche as tranche
        on
            priced.product_id = tranche.product_id
            and priced.curve_currency = tranche.currency
            and priced.month = tranche.month
    where
        case
            when tranche.side = 'above zero' then priced.curve_month is null
            else priced.overdrawn_price is not null
        end
),

premium as (
    select
        premium.tenor_months,
        priced.curve_month = agreed.month and priced.curve_tenor = premium.tenor_months
            as is_of_rate,
        priced.liquidity_month = agreed.month and priced.liquidity_tenor = premium.tenor_months
            as is_of_liquidity,
        agreed.month,
        premium.liquidity_premium,
        premium.option_premium,
        premium.policy_rate
    from priced
    cross join lateral (
        select distinct unnest([priced.curve_month, priced.liquidity_month]) as month
    ) as agreed
    inner join value.transfer_premium as premium
        on
            priced.product_id = premium.product_id
            and agreed.month >= premium.effective_from
            and (premium.effective_to is null or agreed.month < premium.effective_to)
)

select
    'transfer_price' as measure,
    1 as step,
    'curve of the month of the agreement' as part,
    curve.currency as curve_currency,
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
    on
        priced.curve_currency = curve.currency
        and priced.curve_month = curve.month
        and priced.curve_tenor = curve.tenor_months
union all
select
    'transfer_price' as measure,
    part.step,
    part.name as part,
    null as curve_currency,
    premium.month as curve_month,
    premium.tenor_months,
    null as tenor_below,
    null as rate_below,
    null as tenor_above,
    null as rate_above,
    null as portfolio,
    null as weight,
    part.rate as mean_rate,
    cast(part.rate as varchar) as numerator,
    1 as denominator
from premium
cross join lateral (
    values
    (2, 'liquidity premium', premium.is_of_liquidity, premium.liquidity_premium),
    (3, 'option premium', premium.is_of_rate, premium.option_premium),
    (4, 'policy rate', premium.is_of_rate, premium.policy_rate)
) as part(step, name, is_used, rate)
where part.is_used
union all
select
    tranche.measure,
    part.step,
    part.name || ' of the tranche' as part,
    case when part.step = 1 then tranche.currency end as curve_currency,
    null as curve_month,
    tranche.tenor_months,
    null as tenor_below,
    null as rate_below,
    null as tenor_above,
    null as rate_above,
    tranche.portfolio,
    tranche.weight,
    part.rate as mean_rate,
    cast(tranche.weight * part.rate as varchar) as numerator,
    1 as denominator
from tranche
cross join lateral (
    values
    (1, 'curve', tranche.mean_rate),
    (2, 'liquidity premium', tranche.mean_liquidity_premium),
    (3, 'option premium', tranche.mean_option_premium),
    (4, 'policy rate', tranche.mean_policy_rate)
) as part(step, name, rate)
order by measure desc, step, tenor_months
