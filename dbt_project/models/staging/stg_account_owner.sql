select
    account_id,
    employee_id,
    share,
    role,
    valid_from,
    valid_to,
    extract_month
from {{ source('landing', 'account_owner') }}
