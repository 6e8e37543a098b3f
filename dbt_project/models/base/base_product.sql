select
    product_id,
    product_name,
    product_line
from {{ latest_extract(ref('stg_product')) }} as product
