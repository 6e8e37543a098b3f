select
    customer_id,
    cutoff,
    line,
    max(number) as months_held,
    bool_or(is_lost) as is_lost,
    cast(sum(contribution) as decimal(18, 2)) as contribution,
    cast(sum(contribution_discounted) as double) as contribution_discounted
from {{ ref('outcomes_customer_line_month') }}
where is_at_risk
group by customer_id, cutoff, line
