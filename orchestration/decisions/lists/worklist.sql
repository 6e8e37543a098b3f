-- The open contacts of the lists, with the plan's own reason, which other languages have words for.
select list.* replace (
    coalesce(reason_in_words(plan.reason), in_words(list.reason)) as reason,
    segment_in_words(list.segment_name) as segment_name
),
name_of_branch(list.branch_id) as branch_name
from decisions.worklist as list
left join decisions.contact_plan as plan
    on plan.customer_id = list.customer_id
    and plan.product_id = list.product_id
    and plan.arm = 'treatment'
where list.customer_id in ({contactable})
order by list.unit, list.unit_rank
