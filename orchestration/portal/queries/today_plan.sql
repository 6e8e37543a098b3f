-- Next month's contacts; no row without a plan.
select
    min(plan_month) as plan_month,
    count(*) filter (where arm = 'treatment') as contacts,
    count(*) filter (where arm = 'control') as held_out,
    sum(expected_incremental_profit) filter (where arm = 'treatment') as expected_incremental_profit,
    sum(contact_cost) filter (where arm = 'treatment') as contact_cost
from decisions.contact_plan
having count(*) > 0
