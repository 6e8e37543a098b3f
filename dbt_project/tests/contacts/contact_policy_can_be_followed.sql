{{ config(meta={'dagster': {'ref': {'name': 'contacts_policy'}}}) }}
-- With a missing, duplicate or out-of-range policy the plan would be empty or too large.
-- depends_on: {{ ref('contacts_policy') }}
with policy as (
    select * from {{ ref('contact_policy') }}
),

channel as (
    select * from {{ ref('contact_channel') }}
),

complaint as (
    select 'contact_policy has no row from the beginning (effective_from 1900-01-01)' as what
    from policy
    having min(effective_from) is null or min(effective_from) > date '1900-01-01'
    union all
    select 'contact_policy has two rows for ' || effective_from
    from policy
    group by effective_from
    having count(*) > 1
    union all
    {%- for share in ['universal_control_share', 'campaign_control_share'] %}
    select 'contact_policy: {{ share }} is not a share from 0 to 0.5: ' || coalesce({{ share }}, -1)
    from policy
    where coalesce({{ share }}, -1) not between 0 and 0.5
    union all
    {%- endfor %}
    {%- for column in [
        'contact_cool_off_days', 'complaint_cool_off_days', 'held_out_days', 'customer_cap',
        'customer_cap_days', 'household_cap', 'household_cap_days', 'manager_capacity',
        'branch_capacity', 'budget_per_1000_customers', 'expires_days',
    ] %}
    select 'contact_policy: {{ column }} is empty or below zero: ' || coalesce({{ column }}, -1)
    from policy
    where coalesce({{ column }}, -1) < 0
    union all
    {%- endfor %}
    select 'contact_policy has an empty assignment_seed'
    from policy
    where coalesce(assignment_seed, '') = ''
    union all
    select 'contact_channel has two rows for ' || channel || ', ' || effective_from
    from channel
    group by channel, effective_from
    having count(*) > 1
    union all
    select 'contact_channel has needs_use, which only mobile and online allow: ' || channel
    from channel
    where needs_use and channel not in ('mobile', 'online')
    union all
    {%- for column in ['cost_per_contact', 'capacity_per_1000_customers'] %}
    select 'contact_channel: {{ column }} is empty or below zero: ' || channel
    from channel
    where coalesce({{ column }}, -1) < 0
    union all
    {%- endfor %}
    select 'contact_channel has an empty needs_person or needs_use: ' || channel
    from channel
    where needs_person is null or needs_use is null
    union all
    select 'do_not_contact has a row without customer, reason or day'
    from {{ ref('do_not_contact') }}
    where customer_id is null or reason is null or effective_from is null
    union all
    select 'talking_point has two rows for ' || product_line || ', ' || audience || ', ' || language
    from {{ ref('talking_point') }}
    group by product_line, audience, language
    having count(*) > 1
)

select what
from complaint
