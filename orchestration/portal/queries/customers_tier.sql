-- Each tier: what its customers earn now and are expected to, and what may be lost with them.
select
    tier.tier,
    min(tier.tier_number) as tier_number,
    count(*) as customers,
    sum(tier.contribution_margin_12m) as contribution,
    sum(tier.economic_profit_12m) as economic_profit,
    sum(score.clv_12m) as clv_12m,
    count(score.p_attrition) as scored,
    sum(score.p_attrition) as expected_to_leave,
    avg(score.p_attrition) as mean_p_attrition,
    sum(score.value_at_risk) as value_at_risk
from value.customer_tier as tier
left join scores.customer as score on tier.customer_id = score.customer_id
where tier.month = $month
group by tier.tier
order by tier_number, tier.tier
