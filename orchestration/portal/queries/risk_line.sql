-- What is owed, set aside and charged in the as-of month, and charged in twelve months, by line.
select
    product_line,
    coalesce(sum(exposure) filter (month = $month), 0)::decimal(18, 2) as exposure,
    coalesce(sum(exposure) filter (month = $month and stage = 2), 0)::decimal(18, 2) as exposure_2,
    coalesce(sum(exposure) filter (month = $month and stage = 3), 0)::decimal(18, 2) as exposure_3,
    coalesce(sum(loss_allowance) filter (month = $month), 0)::decimal(18, 2) as loss_allowance,
    coalesce(sum(provision) filter (month = $month), 0)::decimal(18, 2) as provision,
    sum(realised_loss)::decimal(18, 2) as realised_loss_12m,
    sum(expected_loss)::decimal(18, 2) as charged_12m
from value.credit_risk
where month > $month - interval 12 month and month <= $month
group by product_line
having exposure <> 0 or provision <> 0 or realised_loss_12m <> 0
order by exposure desc, product_line
