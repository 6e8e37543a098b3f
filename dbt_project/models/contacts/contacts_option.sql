{{ config(materialized='view') }}

-- The arbitration identifies customers, households, offers and channels by numbers from 0, without
-- gaps and in the order of the ids.
with channel as (
    select
        channel,
        row_number() over (order by channel) - 1 as channel_number
    from {{ ref('contacts_channel') }}
)

select
    row_number() over (
        order by candidate.customer_id, candidate.product_id, candidate.channel
    ) - 1 as option_number,
    dense_rank() over (order by candidate.customer_id) - 1 as customer_number,
    case
        when customer.household_room is not null
            then dense_rank() over (order by candidate.household_id nulls last) - 1
        else -1
    end as household_number,
    dense_rank() over (order by candidate.product_id) - 1 as offer_number,
    channel.channel_number,
    case
        when candidate.needs_person then dense_rank() over (order by candidate.unit) - 1
        else -1
    end as unit_number,
    customer.customer_room,
    customer.household_room,
    policy.plan_month,
    'P' || cast(year(policy.plan_month) * 100 + month(policy.plan_month) as varchar)
    || '-' || candidate.product_id as campaign_id,
    candidate.customer_id,
    candidate.product_id,
    offer.product_line,
    candidate.channel,
    candidate.unit,
    customer.employee_id,
    customer.branch_id,
    customer.district_id,
    candidate.household_id,
    candidate.is_universal_control,
    candidate.is_campaign_control,
    case when candidate.is_universal_control then 'universal' else 'campaign' end as control_kind,
    cast(
        case
            when candidate.is_universal_control then policy.universal_control_share
            else policy.campaign_control_share
        end as double
    ) as control_probability,
    1 - cast(policy.campaign_control_share as double) as treatment_probability,
    candidate.p_response,
    candidate.uplift,
    candidate.product_value,
    candidate.expected_loss,
    candidate.contact_cost,
    candidate.incentive_cost,
    candidate.expected_incremental_profit,
    coalesce(value_to_come.clv_12m, 0) as clv_12m,
    printf(
        'a contact adds %.1f points to the probability of taking %s (%.1f %% when contacted); '
        || 'taken, it brings %s in a year, less an expected loss of %s; the contact costs %s%s%s',
        100 * candidate.uplift,
        offer.product_name,
        100 * candidate.p_response,
        cast(candidate.product_value as varchar),
        cast(candidate.expected_loss as varchar),
        cast(candidate.contact_cost as varchar),
        case
            when candidate.incentive_cost > 0
                then ', a response ' || cast(candidate.incentive_cost as varchar)
            else ''
        end,
        coalesce('; ' || score.reason, '')
    ) as reason,
    cast(policy.plan_month + policy.expires_days as date) as expires_on,
    score.response_model_version,
    score.uplift_model_version,
    score.product_value_model_version
from {{ ref('contacts_candidate') }} as candidate
cross join {{ ref('contacts_policy') }} as policy
inner join {{ ref('contacts_contactability') }} as customer
    on candidate.customer_id = customer.customer_id
inner join channel on candidate.channel = channel.channel
inner join {{ ref('value_offer') }} as offer on candidate.product_id = offer.product_id
inner join {{ source('scores', 'offer') }} as score
    on candidate.customer_id = score.customer_id and candidate.product_id = score.product_id
left join {{ ref('scores_customer') }} as value_to_come
    on candidate.customer_id = value_to_come.customer_id
