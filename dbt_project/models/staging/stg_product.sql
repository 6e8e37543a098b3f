select
    product_id,
    product_name,
    product_line,
    extract_month
from {{ source('landing', 'product') }}
