-- Profitable customers of the two best tiers without a booking of their own for a quarter.
select count(*) as count, null::date as due, sum(contribution_margin_12m) as amount
from value.customer_tier
semi join base.customer
    on
        customer.customer_id = customer_tier.customer_id and customer.accounts > 0
        and coalesce(customer.days_since_active, 91) > 90
where
    month = $month and tier_number <= 2 and contribution_margin_12m > 0
    and not list_contains($barred, customer_tier.customer_id)
