select
    account_id,
    customer_id,
    role,
    extract_month
from {{ source('landing', 'account_holder') }}
