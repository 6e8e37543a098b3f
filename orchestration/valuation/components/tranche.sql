-- Each tranche's mean rate from the points of the curve: one point for each of its slices.
select
    'mean_rate' as measure,
    tranche.side || ', ' || tranche.tenor_months || ' months' as scope,
    tranche.mean_rate as published,
    strftime(curve.month, '%Y-%m') as part,
    curve.annual_rate,
    cast(curve.annual_rate as varchar) as numerator,
    tranche.tenor_months as denominator
from value.account_month as value
inner join value.transfer_tranche as tranche
    on
        value.product_id = tranche.product_id
        and value.curve_currency = tranche.currency
        and value.month = tranche.month
inner join value.transfer_curve as curve
    on
        tranche.currency = curve.currency
        and tranche.tenor_months = curve.tenor_months
        and tranche.month >= curve.month
        and curve.month > tranche.month - to_months(tranche.tenor_months)
where
    value.account_id = $account
    and value.month = $month
    and case
        when tranche.side = 'above zero' then value.curve_month is null
        else value.overdrawn_price is not null
    end
order by scope, curve.month
