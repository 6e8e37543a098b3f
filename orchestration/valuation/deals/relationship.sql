select
    count(distinct month) as months,
    coalesce(sum(contribution_margin), 0) as contribution_margin,
    coalesce(sum(economic_profit), 0) as economic_profit
from value.profit_by_customer
where customer_id = $customer and month > cast($month as date) - to_months(12)
