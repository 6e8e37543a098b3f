-- Each tier of the history, also one without a customer now: what its customers earn and are expected
-- to, and what may be lost with them. No row where the month has no customers.
with known as (
    select
        tier,
        max_by(tier_number, month) as tier_number
    from value.customer_tier
    where month <= $month
    group by tier
),

now as (
    select *
    from value.customer_tier
    where month = $month
)

select
    known.tier,
    known.tier_number,
    count(now.customer_id) as customers,
    coalesce(sum(now.contribution_margin_12m), 0)::decimal(18, 2) as contribution,
    coalesce(sum(now.economic_profit_12m), 0)::decimal(18, 2) as economic_profit,
    sum(score.clv_12m) as clv_12m,
    count(score.p_attrition) as scored,
    round(sum(score.p_attrition), 1) as expected_to_leave,
    avg(score.p_attrition) as mean_p_attrition,
    sum(score.value_at_risk) as value_at_risk
from known
left join now on known.tier = now.tier
left join scores.customer as score on now.customer_id = score.customer_id
where exists (select 1 from now)
group by known.tier, known.tier_number
order by known.tier_number, known.tier
