-- The customers of the month by tier, as the cards sum them: without a rank their contribution is
-- not known.
select
    count(*) as customers,
    count(*) filter (where customer.accounts = 0) as left_in_month,
    count(*) filter (where tier.tier_number <= 2) as best,
    sum(tier.contribution_margin_12m) filter (where tier.tier_number is not null) as contribution,
    sum(tier.contribution_margin_12m) filter (where tier.tier_number <= 2) as best_contribution
from value.customer_tier as tier
left join base.customer as customer on tier.customer_id = customer.customer_id
where tier.month = $month
having count(*) > 0
