{#- Customers whose tier in the last month of each release differs. -#}
with latest_before as (
    select
        customer_id,
        tier
    from before.value.customer_tier
    where month = (select max(month) from before.value.customer_tier)
),

latest_after as (
    select
        customer_id,
        tier
    from after.value.customer_tier
    where month = (select max(month) from after.value.customer_tier)
)

select
    latest_before.tier as tier_before,
    latest_after.tier as tier_after,
    count(*) as customers
from latest_before
full join latest_after using (customer_id)
where latest_before.tier is distinct from latest_after.tier
group by latest_before.tier, latest_after.tier
order by customers desc, tier_before, tier_after
