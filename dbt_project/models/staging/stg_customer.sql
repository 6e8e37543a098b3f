select
    customer_id,
    birth_date,
    sex,
    district_id,
    customer_since,
    occupation,
    education,
    marital_status,
    monthly_income,
    household_id,
    employee_id,
    marketing_consent,
    extract_month
from {{ source('landing', 'customer') }}
