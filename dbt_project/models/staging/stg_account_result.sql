select
    account_id,
    month,
    item,
    amount
from {{ source('landing', 'account_result') }}
