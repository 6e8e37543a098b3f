-- Earlier plans against what happened.
select
    outcome.*,
    coalesce(offer.product_name, outcome.product_id) as product_name
from campaigns.plan_outcome as outcome
left join value.offer as offer on outcome.product_id = offer.product_id
order by outcome.plan_month desc, outcome.campaign_id asc
