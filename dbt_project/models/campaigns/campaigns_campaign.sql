with run as (
    select * from {{ ref('base_refresh_window') }}
),

history as (
    select min(month) as first_month
    from {{ ref('value_profit_by_customer') }}
),

-- Actual costs: of every treatment contact, and of the responses of the treated.
contact as (
    select
        contact.campaign_id,
        min(contact.campaign_name) as campaign_name,
        min(contact.product_id) as product_id,
        min(contact.product_line) as product_line,
        min(contact.channel) as channel,
        min(contact.contacted_on) as first_contact,
        max(contact.contacted_on) as last_contact,
        coalesce(sum(contact.cost_per_contact) filter (where contact.arm = 'treatment'), 0)
            as contact_cost,
        coalesce(max(contact.incentive_cost), 0) as incentive,
        max(contact.cost_per_contact) is null as has_no_cost
    from {{ ref('base_campaign_contact') }} as contact
    cross join run
    where contact.contacted_on <= run.as_of
    group by contact.campaign_id
),

assigned as (
    select
        campaign_id,
        min(month) as first_month,
        max(month) as last_month,
        bool_and(is_response_complete) as is_response_complete,
        count(*) filter (where arm = 'treatment' and is_taken) as taken_treated,
        count(*) filter (where arm = 'control' and is_taken) as taken_control,
        count(*) filter (where arm = 'treatment' and is_recorded) as recorded_treated,
        count(*) filter (where arm = 'control' and is_recorded) as recorded_control,
        count(*) filter (where arm = 'treatment' and is_contaminated) as contaminated_treated,
        count(*) filter (where arm = 'control' and is_contaminated) as contaminated_control,
        count(*) filter (where is_in_both_arms) as in_both_arms
    from {{ ref('campaigns_assignment') }}
    group by campaign_id
)

select
    contact.campaign_id,
    contact.campaign_name,
    contact.product_id,
    contact.product_line,
    contact.channel,
    contact.first_contact,
    contact.last_contact,
    {{ response_days() }} as window_days,
    least(
        {{ outcome_months() }}, {{ months_from_to('assigned.last_month', 'run.as_of') }}
    ) as window_months,
    least(
        {{ covariate_months()['most'] }},
        greatest(
            0,
            coalesce({{ months_from_to('history.first_month', 'assigned.first_month') }}, 0)
        )
    ) as months_before,
    assigned.is_response_complete,
    {{ months_from_to('assigned.last_month', 'run.as_of') }} >= {{ outcome_months() }}
        as is_outcome_complete,
    cast(contact.contact_cost as decimal(18, 2)) as contact_cost,
    cast(contact.incentive * assigned.taken_treated as decimal(18, 2)) as incentive_cost,
    contact.has_no_cost,
    assigned.taken_treated,
    assigned.taken_control,
    assigned.recorded_treated,
    assigned.recorded_control,
    assigned.contaminated_treated,
    assigned.contaminated_control,
    assigned.in_both_arms
from contact
inner join assigned on contact.campaign_id = assigned.campaign_id
cross join run
cross join history
