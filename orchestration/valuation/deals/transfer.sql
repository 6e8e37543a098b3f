-- What the transfer price of the term consists of: the curve or a portfolio's tranches, and the
-- premiums of the product.
with term as (
    select * from decisions.term_price where product_id = $product and term_months = $term
),

part as (
    select
        'curve of the as-of month' as part,
        curve.tenor_months,
        curve.tenor_below,
        curve.rate_below,
        curve.tenor_above,
        curve.rate_above,
        cast(null as decimal(9, 6)) as weight,
        cast(curve.annual_rate as decimal(12, 10)) as annual_rate
    from term
    inner join value.transfer_curve as curve
        on
            term.tenor_months = curve.tenor_months
            and curve.month = $month
            and curve.currency = '*'
    union all
    select
        'tranche of the portfolio ' || tranche.portfolio as part,
        tranche.tenor_months,
        null as tenor_below,
        null as rate_below,
        null as tenor_above,
        null as rate_above,
        tranche.weight,
        tranche.mean_rate as annual_rate
    from term
    inner join value.transfer_tranche as tranche
        on
            term.product_id = tranche.product_id
            and tranche.month = $month
            and tranche.currency = '*'
            and tranche.side = 'above zero'
    where term.tenor_months is null
    union all
    select
        premium.part,
        premium.tenor_months,
        null as tenor_below,
        null as rate_below,
        null as tenor_above,
        null as rate_above,
        null as weight,
        premium.annual_rate
    from term
    cross join lateral (
        values
        ('liquidity premium', term.liquidity_tenor, term.liquidity_premium),
        ('option premium', term.tenor_months, term.option_premium),
        ('policy rate', term.tenor_months, term.policy_rate)
    ) as premium(part, tenor_months, annual_rate)
)

select *
from part
order by
    array_position(['liquidity premium', 'option premium', 'policy rate'], part) nulls first,
    tenor_months
