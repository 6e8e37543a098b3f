with run as (
    select * from {{ ref('base_refresh_window') }}
),

assignment as (
    select * from {{ ref('campaigns_assignment') }}
),

-- The group before the contact: nothing that the month of the contact or a later one has changed.
tiered as (
    select
        assignment.campaign_id,
        assignment.customer_id,
        max_by(tier.tier, tier.month) as tier
    from assignment
    inner join {{ ref('value_customer_tier') }} as tier
        on
            assignment.customer_id = tier.customer_id
            and assignment.month > tier.month
    where tier.tier_number is not null
    group by assignment.campaign_id, assignment.customer_id
),

spent as (
    select
        contact.campaign_id,
        contact.customer_id,
        sum(contact.cost_per_contact) as contact_cost,
        coalesce(max(contact.incentive_cost), 0) as incentive_cost
    from {{ ref('base_campaign_contact') }} as contact
    cross join run
    where contact.contacted_on <= run.as_of and contact.arm = 'treatment'
    group by contact.campaign_id, contact.customer_id
),

-- Windows that are over. A profit whose costs are not known is none.
matured as (
    select
        outcome.campaign_id,
        outcome.customer_id,
        coalesce(tiered.tier, '(none)') as customer_group,
        case when outcome.outcome = 'response' then 'response' else 'profit' end as outcome,
        outcome.arm,
        outcome.share,
        case
            when outcome.outcome = 'response' or outcome.arm = 'control' then outcome.y
            else
                outcome.y
                - cast(coalesce(spent.contact_cost, 0) as double)
                - case
                    when assignment.is_taken
                        then cast(coalesce(spent.incentive_cost, 0) as double)
                    else 0
                end
        end as y,
        outcome.x
    from {{ ref('campaigns_outcome') }} as outcome
    inner join assignment
        on
            outcome.campaign_id = assignment.campaign_id
            and outcome.customer_id = assignment.customer_id
    inner join {{ ref('campaigns_campaign') }} as campaign
        on outcome.campaign_id = campaign.campaign_id
    left join tiered
        on
            outcome.campaign_id = tiered.campaign_id
            and outcome.customer_id = tiered.customer_id
    left join spent
        on
            outcome.campaign_id = spent.campaign_id
            and outcome.customer_id = spent.customer_id
    where
        (outcome.outcome = 'response' and assignment.is_response_complete)
        or (
            outcome.outcome = 'contribution'
            and campaign.is_outcome_complete
            and not campaign.has_no_cost
        )
)

select
    campaign_id,
    customer_id,
    customer_group,
    outcome,
    arm,
    share,
    y,
    x
from matured
union all
select
    campaign_id,
    customer_id,
    'all' as customer_group,
    outcome,
    arm,
    share,
    y,
    x
from matured
