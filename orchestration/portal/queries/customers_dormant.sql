-- Profitable customers of the two best tiers without a booking of their own for a quarter.
select
    tier.customer_id,
    tier.tier,
    customer.employee_id,
    customer.branch_id,
    tier.contribution_margin_12m,
    customer.last_active_on,
    customer.days_since_active,
    (customer.balance_deposits + customer.balance_wealth)::decimal(18, 2) as balance
from value.customer_tier as tier
inner join base.customer as customer on tier.customer_id = customer.customer_id
where
    tier.month = $month and tier.tier_number <= 2 and tier.contribution_margin_12m > 0
    and customer.accounts > 0 and coalesce(customer.days_since_active, 91) > 90
    and not list_contains($barred, tier.customer_id)
order by tier.contribution_margin_12m desc, tier.customer_id
