select
    card_id,
    account_id,
    customer_id,
    card_type,
    issued_on,
    extract_month
from {{ source('landing', 'card') }}
