select
    district_id,
    district_name,
    region,
    population,
    average_salary,
    unemployment_rate,
    latitude,
    longitude,
    extract_month
from {{ source('landing', 'district') }}
