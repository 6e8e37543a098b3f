-- What accounts without a known balance carry from $first to $last, by dimension and key.
select
    dimension,
    dimension_key as key,
    sum(net_interest_margin) as net_interest_margin,
    sum(fee_income) as fee_income,
    sum(direct_cost) as direct_cost,
    sum(expected_loss) as expected_loss,
    sum(contribution_margin) as contribution_margin,
    sum(overhead) as overhead,
    sum(capital_charge) as capital_charge,
    sum(economic_profit) as economic_profit,
    sum(economic_capital) as economic_capital,
    coalesce(sum(economic_profit) filter (month = $last), 0) as economic_profit_month
from value.profit_unpriced
where month between $first and $last
group by all
order by dimension, key
