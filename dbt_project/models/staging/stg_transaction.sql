select
    transaction_id,
    account_id,
    booked_on,
    amount,
    kind,
    channel,
    counterparty_bank,
    counterparty_account,
    balance_after,
    month
from {{ source('landing', 'transaction') }}
