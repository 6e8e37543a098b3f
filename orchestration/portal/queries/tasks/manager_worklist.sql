select count(*) as count, min(expires_on) as due, sum(expected_incremental_profit) as amount
from decisions.worklist
where status = 'open'
