-- The plan and simpler policies under the same limits.
select
    policy,
    contacts,
    expected_incremental_profit,
    contact_cost,
    gap,
    is_chosen
from decisions.plan_comparison
order by expected_incremental_profit desc, is_chosen desc, policy asc
