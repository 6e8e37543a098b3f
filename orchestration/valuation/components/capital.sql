select
    measure.name as measure,
    'exposure' as part,
    value.exposure,
    parameter.capital_weight,
    case when measure.name = 'capital_charge' then parameter.hurdle_rate end as hurdle_rate,
    -- A case of decimals of two scales drops places.
    case
        when measure.name = 'capital_charge'
            then cast(
                cast(value.exposure as decimal(38, 2))
                * parameter.capital_weight * parameter.hurdle_rate as varchar
            )
        else cast(cast(value.exposure as decimal(38, 2)) * parameter.capital_weight as varchar)
    end as numerator,
    case when measure.name = 'capital_charge' then 12 else 1 end as denominator
from value.account_month as value
inner join value.product_parameter as parameter
    on value.product_id = parameter.product_id and value.month = parameter.month
cross join (values ('economic_capital'), ('capital_charge')) as measure(name)
where value.account_id = $account and value.month = $month
