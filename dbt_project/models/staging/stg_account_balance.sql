select
    account_id,
    month,
    closing_balance,
    balance_day_sum
from {{ source('landing', 'account_balance') }}
