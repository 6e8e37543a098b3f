-- Each employee's targets and what is attained.
select
    employee_id,
    measure,
    value,
    target_value,
    attainment,
    weight,
    points
from decisions.manager_kpi
order by employee_id, measure
