with run as (
    select * from {{ ref('base_refresh_window') }}
),

policy as (
    select * from {{ ref('contacts_policy') }}
),

customer as (
    select *
    from {{ ref('base_customer') }}
    where not {{ is_erased('customer_id') }}
),

contact as (
    select
        contact.customer_id,
        customer.household_id,
        {{ days_from_to('contact.contacted_on', 'run.as_of') }} as days_ago
    from {{ ref('base_campaign_contact') }} as contact
    inner join customer on contact.customer_id = customer.customer_id
    cross join run
    where contact.arm = 'treatment'
),

contacted as (
    select
        contact.customer_id,
        min(contact.days_ago) as days_ago,
        count(*) filter (where contact.days_ago < policy.customer_cap_days) as contacts
    from contact
    cross join policy
    group by contact.customer_id
),

household_contacted as (
    select
        contact.household_id,
        count(*) filter (where contact.days_ago < policy.household_cap_days) as contacts
    from contact
    cross join policy
    where contact.household_id is not null
    group by contact.household_id
),

warned as (
    select distinct customer_id from {{ ref('alerts_credit') }}
),

barred as (
    select
        seed.customer_id,
        min(seed.reason) as reason
    from {{ ref('do_not_contact') }} as seed
    cross join policy
    where seed.effective_from <= policy.plan_month
    group by seed.customer_id
),

known as (
    select
        customer.customer_id,
        customer.household_id,
        customer.employee_id,
        customer.branch_id,
        customer.district_id,
        customer.age,
        customer.bookings_mobile_12m,
        customer.bookings_online_12m,
        customer.bookings_telephone_12m,
        customer.bookings_branch_12m,
        coalesce(customer.employee_id, 'branch ' || customer.branch_id, 'head office') as unit,
        coalesce(contacted.contacts, 0) as contacts_in_window,
        greatest(policy.customer_cap - coalesce(contacted.contacts, 0), 0) as customer_left,
        greatest(policy.household_cap - coalesce(household.contacts, 0), 0) as household_left,
        {{ drawn_from("policy.assignment_seed || '|universal|' || customer.customer_id") }}
        < policy.universal_control_share as is_universal_control,
        {{ drawn_from(
            "policy.assignment_seed || '|' || cast(policy.plan_month as varchar) || '|' || customer.customer_id"
        ) }} < policy.campaign_control_share as is_campaign_control,
        case
            when barred.customer_id is not null then barred.reason
            when customer.accounts = 0 then 'no_account'
            when coalesce(customer.is_defaulted, false) then 'defaulted'
            when warned.customer_id is not null then 'early_warning'
            when not coalesce(customer.marketing_consent, false) then 'no_consent'
            when customer.age < 18 then 'minor'
            when
                {{ days_from_to('customer.last_complaint_on', 'run.as_of') }}
                < policy.complaint_cool_off_days
                then 'complaint'
            when contacted.days_ago < policy.contact_cool_off_days then 'cool_off'
            when contacted.contacts >= policy.customer_cap then 'over_cap'
            when
                customer.household_id is not null and household.contacts >= policy.household_cap
                then 'household_cap'
        end as suppression,
        case
            when
                {{ days_from_to('customer.last_complaint_on', 'run.as_of') }}
                < policy.complaint_cool_off_days
                then cast(customer.last_complaint_on + policy.complaint_cool_off_days as date)
            when contacted.days_ago < policy.contact_cool_off_days
                then cast(run.as_of - contacted.days_ago + policy.contact_cool_off_days as date)
        end as cool_off_until
    from customer
    cross join policy
    cross join run
    left join contacted on customer.customer_id = contacted.customer_id
    left join household_contacted as household on customer.household_id = household.household_id
    left join warned on customer.customer_id = warned.customer_id
    left join barred on customer.customer_id = barred.customer_id
)

select
    customer_id,
    household_id,
    employee_id,
    branch_id,
    district_id,
    unit,
    cast(age as integer) as age,
    bookings_mobile_12m > 0 as uses_mobile,
    bookings_online_12m > 0 as uses_online,
    case
        when
            bookings_mobile_12m > 0
            and bookings_mobile_12m >= greatest(bookings_online_12m, bookings_branch_12m)
            then 'mobile'
        when bookings_online_12m > 0 and bookings_online_12m >= bookings_branch_12m then 'online'
        when bookings_branch_12m > 0 then 'branch'
        else 'telephone'
    end as best_channel,
    cast(contacts_in_window as integer) as contacts_in_window,
    cast(case when suppression is null then least(1, customer_left) else 0 end as integer)
        as customer_room,
    cast(case when household_id is not null then household_left end as integer)
        as household_room,
    is_universal_control,
    is_campaign_control,
    suppression,
    case when suppression in ('complaint', 'cool_off') then cool_off_until end
        as suppressed_until
from known
