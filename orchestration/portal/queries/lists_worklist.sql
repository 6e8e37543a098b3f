-- The open contacts of each unit's list, with the plan's own reason.
select
    list.unit,
    list.unit_rank,
    list.customer_id,
    list.campaign_id,
    list.product_id,
    list.product_name,
    list.channel,
    list.best_channel,
    list.expected_incremental_profit,
    list.value_tier,
    list.clv_12m,
    list.products_held,
    coalesce(plan.reason, list.reason) as reason,
    list.talking_points,
    list.talking_points_zh,
    list.segment_name,
    list.expires_on
from decisions.worklist as list
left join decisions.contact_plan as plan
    on list.customer_id = plan.customer_id and list.product_id = plan.product_id
where list.status = 'open'
order by list.unit, list.unit_rank
