-- Without the columns and reasons that managers may not read.
select
    plan.plan_month, plan.campaign_id, plan.customer_id, plan.product_id,
    plan.product_line, plan.channel, plan.unit, plan.employee_id, plan.branch_id,
    name_of_branch(plan.branch_id) as branch_name,
    plan.arm, plan.assignment_probability, plan.p_response, plan.uplift,
    plan.product_value, plan.expected_loss, plan.contact_cost, plan.incentive_cost,
    plan.expected_incremental_profit,
    coalesce(
        reason_in_words(plan.reason), in_words('chosen for its expected profit')
    ) as reason,
    plan.expires_on, plan.response_model_version, plan.uplift_model_version
from decisions.contact_plan as plan
where plan.arm = 'treatment' and plan.customer_id in ({contactable})
order by plan.campaign_id, plan.customer_id, plan.product_id
