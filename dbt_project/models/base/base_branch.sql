select
    branch_id,
    branch_name,
    district_id
from {{ latest_extract(ref('stg_branch')) }} as branch
