-- Customers who hold most value at risk: together half of it.
with ranked as (
    select
        value_at_risk,
        sum(value_at_risk) over (order by value_at_risk desc, customer_id) - value_at_risk as before,
        sum(value_at_risk) over () as whole
    from scores.customer
    where value_at_risk > 0 and not list_contains($barred, customer_id)
)

select count(*) as count, null::date as due, sum(value_at_risk) as amount
from ranked
where before < whole / 2
