-- What accounts that are not priced carry in twelve months; no row where there are none.
select
    sum(contribution_margin) as contribution_margin_12m,
    sum(economic_profit) as economic_profit_12m
from value.profit_unpriced
where dimension = 'line' and month > $month - interval 12 month and month <= $month
having count(*) > 0
