with run as (
    select * from {{ ref('base_refresh_window') }}
),

plan_month as (
    select {{ months_later('as_of_month', '1') }} as month
    from run
),

policy as (
    select * from {{ in_force(ref('contact_policy'), [], 'plan_month') }} as in_force
),

size as (
    select count(*) as customers
    from {{ ref('base_customer') }}
)

select
    policy.month as plan_month,
    policy.universal_control_share,
    policy.campaign_control_share,
    policy.contact_cool_off_days,
    policy.complaint_cool_off_days,
    policy.held_out_days,
    policy.customer_cap,
    policy.customer_cap_days,
    policy.household_cap,
    policy.household_cap_days,
    policy.manager_capacity,
    policy.branch_capacity,
    {{ to_money('policy.budget_per_1000_customers * size.customers / 1000') }} as budget,
    policy.expires_days,
    policy.assignment_seed,
    cast(size.customers as integer) as customers
from policy
cross join size
