with policy as (
    select * from {{ ref('contacts_policy') }}
),

plan_month as (
    select plan_month as month from policy
),

channel as (
    select * from {{ in_force(ref('contact_channel'), ['seed.channel'], 'plan_month') }} as in_force
)

select
    channel.channel,
    channel.cost_per_contact,
    cast(floor(channel.capacity_per_1000_customers * policy.customers / 1000) as integer)
        as capacity,
    channel.needs_person,
    channel.needs_use
from channel
cross join policy
