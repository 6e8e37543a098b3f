select count(*) as count, null::date as due, sum(economic_profit_12m) as amount
from value.customer_tier
where month = $month and tier_number is not null and economic_profit_12m < 0
