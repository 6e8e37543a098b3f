select
    employee_id,
    branch_id,
    role,
    hired_on,
    extract_month
from {{ source('landing', 'employee') }}
