select
    interaction_id,
    customer_id,
    occurred_on,
    channel,
    topic,
    sentiment,
    month
from {{ source('landing', 'interaction') }}
