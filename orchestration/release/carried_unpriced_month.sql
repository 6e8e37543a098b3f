-- What accounts without a known balance carry, by month.
select
    month,
    sum(contribution_margin) as contribution_margin,
    sum(economic_profit) as economic_profit
from value.profit_unpriced
where dimension = 'line'
group by month
