select
    customer_id,
    birth_date,
    sex,
    district_id,
    customer_since,
    {%- for attribute in customer_attributes() %}
    {{ attribute }},
    {%- endfor %}
    household_id,
    employee_id,
    marketing_consent,
    extract_month
from {{ source('landing', 'customer') }}
