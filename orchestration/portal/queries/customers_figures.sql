-- The customers of the month by tier, as the cards sum them.
select
    count(*) as customers,
    count(*) filter (where tier_number <= 2) as best,
    sum(contribution_margin_12m) as contribution,
    sum(contribution_margin_12m) filter (where tier_number <= 2) as best_contribution
from value.customer_tier
where month = $month
having count(*) > 0
