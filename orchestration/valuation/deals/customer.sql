select
    customer.customer_id,
    tier.tier,
    score.p_default as probability_of_default,
    count(profit.month) as months,
    coalesce(sum(profit.contribution_margin), 0) as contribution_margin,
    coalesce(sum(profit.economic_profit), 0) as economic_profit
from base.customer as customer
left join value.customer_tier as tier
    on
        customer.customer_id = tier.customer_id
        and tier.month = $month
        and tier.tier_number is not null
left join scores.customer as score on customer.customer_id = score.customer_id
left join value.profit_by_customer as profit
    on
        customer.customer_id = profit.customer_id
        and profit.month > cast($month as date) - to_months(12)
where customer.customer_id = $customer
group by customer.customer_id, tier.tier, score.p_default
