select count(*) as count, null::date as due, sum(abs(amount)) as amount
from alerts.transaction
where severity in ('alarm', 'warning')
