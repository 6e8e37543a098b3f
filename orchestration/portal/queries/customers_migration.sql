-- From the tier of a year ago to that of now; nothing where the history is shorter.
with before as (
    select customer_id, tier, tier_number
    from value.customer_tier
    where month = $month - interval 12 month
),

now as (
    select customer_id, tier, tier_number
    from value.customer_tier
    where month = $month
)

select
    coalesce(before.tier, '(new)') as tier_before,
    coalesce(now.tier, '(left)') as tier,
    min(before.tier_number) as number_before,
    min(now.tier_number) as tier_number,
    count(*) as customers
from before
full join now on before.customer_id = now.customer_id
where exists (select 1 from before)
group by 1, 2
order by number_before nulls last, tier_number nulls last
