select
    loan_id,
    account_id,
    granted_on,
    principal,
    term_months,
    instalment,
    interest_rate,
    extract_month
from {{ source('landing', 'loan') }}
