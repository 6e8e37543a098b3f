select
    month,
    currency,
    cast(average_rate as decimal(18, 8)) as average_rate,
    cast(closing_rate as decimal(18, 8)) as closing_rate
from {{ source('landing', 'fx_rate') }}
