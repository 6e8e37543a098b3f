select
    branch_id,
    branch_name,
    district_id,
    extract_month
from {{ source('landing', 'branch') }}
