{{ config(materialized='view') }}

select
    month_from,
    month_to,
    as_of,
    {{ month_of('as_of') }} as as_of_month,
    first_month,
    source
from {{ ref('stg_refresh_window') }}
