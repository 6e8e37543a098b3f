-- Abnormal bookings of the as-of month, the most abnormal first.
select
    rank,
    severity,
    booked_on,
    account_id,
    customer_id,
    kind,
    channel,
    amount,
    usual_amount,
    score,
    employee_id,
    reason
from alerts.transaction
order by rank, transaction_id
