select
    sum(clv_12m) as clv_12m,
    sum(value_at_risk) as value_at_risk
from scores.customer
