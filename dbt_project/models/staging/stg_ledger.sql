select
    month,
    branch_id,
    product_line,
    ledger_account,
    amount
from {{ source('landing', 'ledger') }}
