select
    contact_id,
    campaign_id,
    customer_id,
    contacted_on,
    arm,
    assignment_probability,
    employee_id,
    month
from {{ source('landing', 'contact') }}
