select count(*) as count, null::date as due, null::decimal(18, 2) as amount
from meta.gate_result
where not success
