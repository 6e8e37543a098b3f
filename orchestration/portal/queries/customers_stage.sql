-- Stages of the relationship, by years with the bank, also one without a customer.
with staged as (
    select
        customer_id,
        accounts,
        case
            when tenure_months < 12 then 0
            when tenure_months < 36 then 1
            when tenure_months < 60 then 3
            when tenure_months < 120 then 5
            else 10
        end as years
    from base.customer
    where accounts > 0 and tenure_months is not null
)

select
    stage.years,
    count(staged.customer_id) as customers,
    round(sum(staged.accounts) / count(*), 1) as accounts_each,
    sum(tier.contribution_margin_12m) as contribution,
    (sum(tier.contribution_margin_12m) / count(*))::decimal(18, 2) as contribution_each,
    sum(score.clv_12m) as clv_12m,
    avg(score.p_attrition) as mean_p_attrition,
    sum(score.value_at_risk) as value_at_risk
from (values (0), (1), (3), (5), (10)) as stage (years)
left join staged on stage.years = staged.years
left join value.customer_tier as tier
    on staged.customer_id = tier.customer_id and tier.month = $month
left join scores.customer as score on staged.customer_id = score.customer_id
where exists (select 1 from staged)
group by stage.years
order by stage.years
