-- Value counts in the customer's current district. Amounts without a customer or a known district
-- are in a row of their own, so that the rows sum to the bank.
with run as (
    select * from {{ ref('base_refresh_window') }}
),

district as (
    select * from {{ latest_extract(ref('stg_district')) }} as delivered
),

customer as (
    select
        customer_id,
        coalesce(district_id, {{ nobody() }}) as district_id,
        employee_id,
        branch_id,
        coalesce(accounts, 0) > 0 as is_active,
        coalesce(contacts_12m, 0) as contacts_12m
    from {{ ref('base_customer') }}
),

place as (
    select
        district_id,
        count(*) filter (where is_active) as customers,
        count(employee_id) filter (where is_active) as customers_with_manager,
        sum(contacts_12m) as contacts_12m,
        count(*) filter (where is_active and contacts_12m > 0) as contacted
    from customer
    group by district_id
),

-- The manager and the branch of most customers in the district.
responsible as (
    select
        district_id,
        employee_id
    from customer
    where is_active and employee_id is not null
    group by district_id, employee_id
    qualify
        row_number() over (partition by district_id order by count(*) desc, employee_id asc) = 1
),

home as (
    select
        district_id,
        branch_id
    from customer
    where is_active and branch_id is not null
    group by district_id, branch_id
    qualify
        row_number() over (partition by district_id order by count(*) desc, branch_id asc) = 1
),

earned as (
    select
        coalesce(customer.district_id, {{ nobody() }}) as district_id,
        sum(profit.contribution_margin) as contribution_margin_12m
    from {{ ref('value_profit_by_customer') }} as profit
    cross join run
    left join customer on profit.customer_id = customer.customer_id
    where
        profit.month > {{ months_later('run.as_of_month', -12) }}
        and profit.month <= run.as_of_month
    group by coalesce(customer.district_id, {{ nobody() }})
),

promised as (
    select
        customer.district_id,
        sum(score.clv_12m) as clv_12m
    from {{ source('scores', 'clv') }} as score
    inner join customer on score.customer_id = customer.customer_id
    group by customer.district_id
),

best as (
    select
        customer_id,
        max(expected_incremental_profit) as best_offer
    from {{ ref('contacts_candidate') }}
    group by customer_id
),

-- An offer with a negative expected profit need not be made.
possible as (
    select
        customer.district_id,
        sum(greatest(best.best_offer, 0)) as potential
    from best
    inner join customer on best.customer_id = customer.customer_id
    group by customer.district_id
),

contactable as (
    {{ contactable() }}
),

planned as (
    select
        customer.district_id,
        count(*) as planned_contacts
    from {{ source('decisions', 'contact_plan') }} as plan
    inner join contactable on plan.customer_id = contactable.customer_id
    inner join customer on plan.customer_id = customer.customer_id
    where plan.arm = 'treatment'
    group by customer.district_id
),

everywhere as (
    select district_id from place
    union
    select district_id from earned
    union
    select district_id from district
)

select
    everywhere.district_id,
    district.district_name,
    district.region,
    responsible.employee_id,
    home.branch_id,
    cast(coalesce(place.customers, 0) as integer) as customers,
    cast(coalesce(place.customers_with_manager, 0) as integer) as customers_with_manager,
    {{ ratio('place.customers_with_manager', 'place.customers') }} as manager_share,
    cast(coalesce(earned.contribution_margin_12m, 0) as decimal(18, 2)) as contribution_margin_12m,
    cast(coalesce(promised.clv_12m, 0) as decimal(18, 2)) as clv_12m,
    cast(coalesce(possible.potential, 0) as decimal(18, 2)) as potential,
    cast(coalesce(planned.planned_contacts, 0) as integer) as planned_contacts,
    cast(coalesce(place.contacts_12m, 0) as integer) as contacts_12m,
    {{ ratio('place.contacted', 'place.customers') }} as coverage,
    district.latitude,
    district.longitude
from everywhere
left join district on everywhere.district_id = district.district_id
left join place on everywhere.district_id = place.district_id
left join responsible on everywhere.district_id = responsible.district_id
left join home on everywhere.district_id = home.district_id
left join earned on everywhere.district_id = earned.district_id
left join promised on everywhere.district_id = promised.district_id
left join possible on everywhere.district_id = possible.district_id
left join planned on everywhere.district_id = planned.district_id
