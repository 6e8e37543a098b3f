-- Each unit with its list, its result and its targets; the largest list first.
with listed as (
    select
        unit,
        count(*) as contacts,
        sum(expected_incremental_profit) as expected_incremental_profit,
        min(expires_on) as expires_on
    from decisions.worklist
    where status = 'open'
    group by unit
)

select
    book.unit,
    book.employee_id,
    book.branch_id,
    coalesce(listed.contacts, 0) as contacts,
    listed.expected_incremental_profit,
    listed.expires_on,
    book.customers,
    book.contribution_margin_12m,
    book.growth,
    book.contacts_12m,
    book.coverage,
    book.conversion_treated,
    book.conversion_control,
    book.effect,
    book.effect_low,
    book.effect_high,
    target.attainment,
    book.credit_alerts
from decisions.manager_scorecard as book
left join listed on book.unit = listed.unit
left join decisions.manager_kpi as target
    on book.employee_id = target.employee_id and target.measure = 'total'
where book.customers > 0 or listed.contacts > 0
order by contacts desc, listed.expected_incremental_profit desc, book.unit asc
