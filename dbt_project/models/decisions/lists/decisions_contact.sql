{{ config(materialized='view') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

contactable as (
    {{ contactable() }}
)

select
    plan.customer_id,
    plan.product_id,
    plan.product_line,
    plan.channel,
    contactable.best_channel,
    plan.campaign_id,
    plan.unit,
    plan.employee_id,
    plan.branch_id,
    plan.expected_incremental_profit,
    plan.product_value,
    plan.expires_on,
    score.clv_12m,
    coalesce(tier.tier, '') as value_tier,
    coalesce(score.segment_name, {{ nobody() }}) as segment_name,
    -- A channel without a row may need a person.
    coalesce(channel.needs_person, true) as needs_person
from {{ source('decisions', 'contact_plan') }} as plan
cross join run
inner join contactable on plan.customer_id = contactable.customer_id
left join {{ ref('contacts_channel') }} as channel on plan.channel = channel.channel
left join {{ ref('scores_customer') }} as score on plan.customer_id = score.customer_id
left join {{ ref('value_customer_tier') }} as tier
    on plan.customer_id = tier.customer_id and run.as_of_month = tier.month
where
    plan.arm = 'treatment'
    and (plan.expires_on is null or plan.expires_on > run.as_of)
