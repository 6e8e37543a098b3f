with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- By planned arm, regardless of actual contacts. Probabilities are read as those of a contact are.
plan as (
    select
        planned.*,
        {{ chance_of_treatment('planned.arm', 'planned.assignment_probability') }} as share,
        last_day(planned.plan_month) as month_end,
        run.as_of
    from {{ source('decisions', 'earlier_plan') }} as planned
    cross join run
    where planned.plan_month <= run.as_of
),

contact as (
    select * from {{ ref('base_campaign_contact') }}
),

held as (
    select
        holder.customer_id,
        account.product_id,
        account.opened_on
    from {{ ref('base_account') }} as account
    inner join {{ ref('base_account_holder') }} as holder
        on account.account_id = holder.account_id
    where holder.is_beneficial
),

-- The bank may run a plan under a campaign of another name, so customer and product are matched.
contacted as (
    select distinct
        plan.plan_month,
        plan.customer_id,
        plan.product_id
    from plan
    inner join contact
        on
            plan.customer_id = contact.customer_id
            and plan.product_id = contact.product_id
            and plan.plan_month <= contact.contacted_on
            and plan.as_of >= contact.contacted_on
            and {{ days_from_to('plan.month_end', 'contact.contacted_on') }}
            <= {{ response_days() }}
    where contact.arm = 'treatment'
),

taken as (
    select
        plan.plan_month,
        plan.customer_id,
        plan.product_id
    from plan
    inner join contact
        on
            plan.customer_id = contact.customer_id
            and plan.product_id = contact.product_id
            and plan.plan_month <= contact.contacted_on
            and plan.plan_month <= contact.responded_on
            and plan.as_of >= contact.responded_on
            and {{ days_from_to('plan.month_end', 'contact.responded_on') }}
            <= {{ response_days() }}
    union distinct
    select
        plan.plan_month,
        plan.customer_id,
        plan.product_id
    from plan
    inner join held
        on
            plan.customer_id = held.customer_id
            and plan.product_id = held.product_id
            and plan.plan_month <= held.opened_on
            and plan.as_of >= held.opened_on
            and {{ days_from_to('plan.month_end', 'held.opened_on') }}
            <= {{ response_days() }}
)

select
    plan.plan_month,
    plan.campaign_id,
    plan.customer_id,
    plan.product_id,
    plan.arm,
    plan.share,
    plan.p_response,
    plan.uplift,
    plan.contact_cost,
    plan.incentive_cost,
    plan.expected_incremental_profit,
    contacted.customer_id is not null as is_contacted,
    taken.customer_id is not null as is_taken
from plan
left join contacted
    on
        plan.plan_month = contacted.plan_month
        and plan.customer_id = contacted.customer_id
        and plan.product_id = contacted.product_id
left join taken
    on
        plan.plan_month = taken.plan_month
        and plan.customer_id = taken.customer_id
        and plan.product_id = taken.product_id
