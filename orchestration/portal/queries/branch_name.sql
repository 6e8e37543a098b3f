select branch_id, branch_name
from base.branch
where branch_name is not null
