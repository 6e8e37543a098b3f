-- Months that the value to come covers.
select max(clv_horizon_months) as months
from scores.customer
