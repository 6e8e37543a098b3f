select count(*) as count, null::date as due, sum(exposure) as amount
from alerts.credit
where severity = 'alarm'
