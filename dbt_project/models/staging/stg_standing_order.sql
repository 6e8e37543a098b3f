select
    order_id,
    account_id,
    counterparty_bank,
    counterparty_account,
    amount,
    purpose,
    extract_month
from {{ source('landing', 'standing_order') }}
