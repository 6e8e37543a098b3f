select
    product_line,
    audience,
    language,
    text
from {{ ref('talking_point') }}
