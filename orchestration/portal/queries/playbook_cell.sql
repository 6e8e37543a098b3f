-- What worked by offer, channel and customer group; all customers first, then by tier.
with tier as (
    select
        tier,
        max(tier_number) as tier_number
    from value.customer_tier
    group by tier
)

select
    playbook.*,
    coalesce(offer.product_name, playbook.product_id) as product_name,
    tier.tier_number
from campaigns.playbook as playbook
left join value.offer as offer on playbook.product_id = offer.product_id
left join tier on playbook.customer_group = tier.tier
order by
    product_name asc, playbook.product_id asc, playbook.channel asc,
    playbook.customer_group = 'all' desc, tier.tier_number asc nulls last
