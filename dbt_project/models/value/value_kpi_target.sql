{{ config(materialized='table') }}

with as_of_month as (
    select as_of_month as month from {{ ref('base_refresh_window') }}
)

select
    employee_id,
    measure,
    weight,
    floor_value,
    target_value,
    attainment_cap
from {{ in_force(ref('manager_kpi'), ['seed.employee_id'], 'as_of_month') }} as in_force
