-- The plan by offer, channel, branch and manager; null for customers without the latter two.
select
    case
        when grouping(product_id) = 0 then 'offer'
        when grouping(channel) = 0 then 'channel'
        when grouping(branch_id) = 0 then 'branch'
        else 'manager'
    end as dimension,
    coalesce(product_id, channel, branch_id, employee_id) as key,
    count(*) filter (where arm = 'treatment') as contacts,
    count(*) filter (where control_kind = 'campaign') as held_out,
    sum(expected_incremental_profit) filter (where arm = 'treatment')
        as expected_incremental_profit,
    sum(contact_cost) filter (where arm = 'treatment') as contact_cost,
    avg(p_response) filter (where arm = 'treatment') as mean_response,
    avg(uplift) filter (where arm = 'treatment') as mean_uplift
from decisions.contact_plan
group by grouping sets (product_id, channel, branch_id, employee_id)
having count(*) filter (where arm = 'treatment') > 0
order by dimension asc, expected_incremental_profit desc, key asc
