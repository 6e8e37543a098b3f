select
    month_from,
    month_to,
    as_of,
    first_month,
    source
from {{ source('landing', 'refresh_window') }}
