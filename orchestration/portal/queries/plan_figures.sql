-- Next month's plan as a whole; no row without one.
select
    min(plan_month) as plan_month,
    min(expires_on) as expires_on,
    count(*) filter (where arm = 'treatment') as contacts,
    count(*) filter (where control_kind = 'campaign') as held_out,
    count(*) filter (where control_kind = 'universal') as never_contacted,
    sum(expected_incremental_profit) filter (where arm = 'treatment')
        as expected_incremental_profit,
    sum(contact_cost) filter (where arm = 'treatment') as contact_cost
from decisions.contact_plan
having count(*) filter (where arm = 'treatment') > 0
