select
    owner.account_id,
    owner.employee_id,
    owner.valid_from,
    owner.valid_to,
    owner.role,
    owner.share
from {{ latest_extract(ref('stg_account_owner')) }} as owner
