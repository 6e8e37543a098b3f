-- What to say by line, to everybody (*) and to each tier.
with tier as (
    select
        tier,
        tier_number
    from value.customer_tier
    where month = $month
    group by tier, tier_number
)

select
    point.product_line,
    point.audience,
    max(tier.tier_number) as tier_number,
    max(point.text) filter (where point.language = 'en') as en,
    max(point.text) filter (where point.language = 'zh') as zh
from contacts.talking_point as point
left join tier on point.audience = tier.tier
where point.audience = '*' or tier.tier is not null
group by point.product_line, point.audience
order by point.product_line, tier_number nulls first
