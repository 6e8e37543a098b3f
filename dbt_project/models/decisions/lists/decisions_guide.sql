with segment as (
    select
        segment_name,
        count(*) as customers
    from {{ ref('scores_customer') }}
    where segment_name is not null
    group by segment_name
),

planned as (
    select
        segment_name,
        product_id,
        count(*) as planned_contacts,
        sum(expected_incremental_profit) as expected_incremental_profit
    from {{ ref('decisions_contact') }}
    group by segment_name, product_id
)

-- Every group with every offer, including groups without a customer in this month's plan.
select
    segment.segment_name,
    offer.product_id,
    offer.product_name,
    offer.product_line,
    cast(segment.customers as integer) as customers,
    cast(coalesce(planned.planned_contacts, 0) as integer) as planned_contacts,
    cast(coalesce(planned.expected_incremental_profit, 0) as decimal(18, 2))
        as expected_incremental_profit,
    point.talking_points,
    point.talking_points_zh
from segment
cross join {{ ref('value_offer') }} as offer
left join planned
    on segment.segment_name = planned.segment_name and offer.product_id = planned.product_id
left join {{ ref('decisions_talking_point') }} as point
    on
        segment.segment_name = point.segment_name
        and offer.product_line = point.product_line
        and point.value_tier = ''
