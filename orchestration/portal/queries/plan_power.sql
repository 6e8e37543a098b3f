-- What each campaign's control group can show.
select
    power.campaign_id,
    offer.product_name,
    power.treated,
    power.control,
    power.base_rate,
    power.expected_effect,
    power.minimum_detectable_effect,
    power.power,
    power.control_share_for_power
from decisions.control_power as power
left join (
    select distinct
        plan.campaign_id,
        coalesce(offer.product_name, plan.product_id) as product_name
    from decisions.contact_plan as plan
    left join value.offer as offer on plan.product_id = offer.product_id
) as offer on power.campaign_id = offer.campaign_id
order by power.treated desc, power.campaign_id asc
