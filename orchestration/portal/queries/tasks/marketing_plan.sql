select
    count(*) filter (where arm = 'treatment') as count,
    min(expires_on) as due,
    sum(expected_incremental_profit) filter (where arm = 'treatment') as amount
from decisions.contact_plan
