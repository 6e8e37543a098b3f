-- Customers by the value that may be lost with them.
select
    score.customer_id,
    tier.tier,
    customer.employee_id,
    customer.branch_id,
    score.value_at_risk,
    score.p_attrition,
    tier.contribution_margin_12m,
    customer.days_since_active
from scores.customer as score
inner join base.customer as customer on score.customer_id = customer.customer_id
left join value.customer_tier as tier
    on score.customer_id = tier.customer_id and tier.month = $month
where score.value_at_risk > 0 and not list_contains($barred, score.customer_id)
order by score.value_at_risk desc, score.customer_id
