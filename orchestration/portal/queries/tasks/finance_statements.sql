select count(*) as count, min(month) as due, sum(abs(difference)) as amount
from value.reconciliation
where abs(difference) > tolerance
