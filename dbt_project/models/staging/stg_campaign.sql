select
    campaign_id,
    campaign_name,
    product_id,
    channel,
    starts_on,
    ends_on,
    cost_per_contact,
    incentive_cost,
    extract_month
from {{ source('landing', 'campaign') }}
