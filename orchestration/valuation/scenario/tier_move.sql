-- Customers whose tier in the as-of month is another one.
select count(*) as customers
from release.value.customer_tier as released
full join warehouse.value.customer_tier as valued
    on released.customer_id = valued.customer_id and released.month = valued.month
where
    coalesce(released.month, valued.month) = $as_of
    and released.tier is distinct from valued.tier
