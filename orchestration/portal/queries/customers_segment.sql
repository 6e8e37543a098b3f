-- Segments by tier.
select
    score.segment_name,
    tier.tier,
    min(tier.tier_number) as tier_number,
    count(*) as customers,
    sum(tier.contribution_margin_12m) as contribution,
    sum(score.clv_12m) as clv_12m
from value.customer_tier as tier
inner join scores.customer as score on tier.customer_id = score.customer_id
where tier.month = $month and score.segment_name is not null
group by score.segment_name, tier.tier
order by score.segment_name, tier_number
