select
    campaign_id,
    customer_id,
    responded_on,
    account_id,
    month
from {{ source('landing', 'response') }}
