with run as (
    select * from {{ ref('base_refresh_window') }}
),

policy as (
    select * from {{ ref('contacts_policy') }}
),

customer as (
    select *
    from {{ ref('contacts_contactability') }}
    where customer_room > 0
),

offer as (
    select * from {{ ref('value_offer') }}
),

-- What suits a customer depends on the time with the bank and on the money paid in.
known as (
    select
        customer_id,
        tenure_months,
        inflow_3m
    from {{ ref('base_customer') }}
),

-- An account counts for each owner and joint owner.
held as (
    select distinct
        holder.customer_id,
        account.product_id
    from {{ ref('base_account') }} as account
    inner join {{ ref('base_account_holder') }} as holder
        on account.account_id = holder.account_id
    where account.is_open and holder.is_beneficial
),

excluded as (
    select distinct
        held.customer_id,
        offer.product_id
    from held
    inner join offer on {{ is_listed('held.product_id', 'offer.excludes') }}
),

-- Products with a contact or a hold-out whose outcome is still being measured.
measured as (
    select distinct
        contact.customer_id,
        contact.product_id
    from {{ ref('base_campaign_contact') }} as contact
    cross join run
    cross join policy
    where
        {{ days_from_to('contact.contacted_on', 'run.as_of') }} < policy.held_out_days
),

scored as (
    select
        score.*,
        offer.incentive_cost
    from {{ source('scores', 'offer') }} as score
    inner join offer on score.product_id = offer.product_id
    inner join customer on score.customer_id = customer.customer_id
    left join known on score.customer_id = known.customer_id
    left join excluded
        on score.customer_id = excluded.customer_id and score.product_id = excluded.product_id
    left join measured
        on score.customer_id = measured.customer_id and score.product_id = measured.product_id
    where
        excluded.customer_id is null
        and measured.customer_id is null
        and score.expected_incremental_profit is not null
        and coalesce(customer.age >= offer.minimum_age, true)
        and coalesce(customer.age <= offer.maximum_age, true)
        and coalesce(known.tenure_months >= offer.minimum_months, true)
        and coalesce(known.inflow_3m >= 3 * offer.minimum_inflow, true)
),

reachable as (
    select
        scored.*,
        customer.unit,
        customer.household_id,
        customer.is_universal_control,
        customer.is_campaign_control,
        channel.channel,
        channel.needs_person,
        channel.cost_per_contact
    from scored
    inner join customer on scored.customer_id = customer.customer_id
    inner join {{ ref('contacts_channel') }} as channel
        on
            not channel.needs_use
            or (channel.channel = 'mobile' and customer.uses_mobile)
            or (channel.channel = 'online' and customer.uses_online)
)

select
    customer_id,
    product_id,
    channel,
    unit,
    household_id,
    needs_person,
    is_universal_control,
    is_campaign_control,
    p_response,
    uplift,
    product_value,
    expected_loss,
    cost_per_contact as contact_cost,
    incentive_cost,
    cast(expected_incremental_profit - cost_per_contact as decimal(18, 2))
        as expected_incremental_profit
from reachable
