-- Customers below the top tier by the probability of entering it.
select
    score.customer_id,
    tier.tier,
    customer.employee_id,
    customer.branch_id,
    score.p_high_value,
    tier.contribution_margin_12m,
    score.clv_12m
from scores.customer as score
inner join base.customer as customer on score.customer_id = customer.customer_id
left join value.customer_tier as tier
    on score.customer_id = tier.customer_id and tier.month = $month
where score.p_high_value is not null and not list_contains($barred, score.customer_id)
order by score.p_high_value desc, score.customer_id
