select
    loan_id,
    month,
    outstanding,
    days_past_due,
    defaulted
from {{ source('landing', 'loan_status') }}
