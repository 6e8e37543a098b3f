-- The contacts to make, the most profitable first.
select
    plan.customer_id,
    plan.product_id,
    coalesce(offer.product_name, plan.product_id) as product_name,
    plan.channel,
    plan.employee_id,
    plan.branch_id,
    tier.tier,
    plan.p_response,
    plan.uplift,
    plan.product_value,
    plan.expected_loss,
    plan.contact_cost,
    plan.incentive_cost,
    plan.expected_incremental_profit,
    plan.expires_on
from decisions.contact_plan as plan
left join value.offer as offer on plan.product_id = offer.product_id
left join value.customer_tier as tier
    on plan.customer_id = tier.customer_id and tier.month = $month
where plan.arm = 'treatment'
order by plan.expected_incremental_profit desc, plan.customer_id, plan.product_id
