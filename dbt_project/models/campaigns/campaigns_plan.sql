with run as (
    select * from {{ ref('base_refresh_window') }}
),

planned as (
    select * from {{ ref('campaigns_planned') }}
),

summed as (
    select
        plan_month,
        campaign_id,
        case when min(product_id) = max(product_id) then min(product_id) end as product_id,
        count(*) filter (where arm = 'treatment') as planned_treated,
        count(*) filter (where arm = 'control') as planned_control,
        count(*) filter (where arm = 'treatment' and is_contacted) as contacted_treated,
        count(*) filter (where arm = 'control' and is_contacted) as contacted_control,
        count(*) filter (where arm = 'treatment' and is_taken) as observed_responses,
        sum(cast(p_response as decimal(38, 12))) filter (where arm = 'treatment')
            as expected_responses,
        sum(cast(uplift as decimal(38, 12))) filter (where arm = 'treatment')
            as expected_incremental_responses,
        sum(expected_incremental_profit) filter (where arm = 'treatment')
            as expected_incremental_profit,
        sum(cast(contact_cost + p_response * incentive_cost as decimal(38, 12)))
        filter (where arm = 'treatment') as expected_cost,
        sum(contact_cost) filter (where arm = 'treatment' and is_contacted) as contacts_cost,
        sum(incentive_cost) filter (where arm = 'treatment' and is_taken) as responses_cost
    from planned
    group by plan_month, campaign_id
)

select
    summed.plan_month,
    summed.campaign_id,
    summed.product_id,
    {{ response_days() }} as window_days,
    {{ days_from_to('last_day(summed.plan_month)', 'run.as_of') }} >= {{ response_days() }}
        as is_complete,
    summed.planned_treated,
    summed.planned_control,
    summed.contacted_treated,
    summed.contacted_control,
    summed.observed_responses,
    cast(summed.expected_responses as double) as expected_responses,
    cast(summed.expected_incremental_responses as double) as expected_incremental_responses,
    cast(coalesce(summed.expected_incremental_profit, 0) as decimal(18, 2))
        as expected_incremental_profit,
    cast(coalesce(summed.expected_cost, 0) as double) as expected_cost,
    cast(
        coalesce(summed.contacts_cost, 0) + coalesce(summed.responses_cost, 0) as decimal(18, 2)
    ) as spent
from summed
cross join run
