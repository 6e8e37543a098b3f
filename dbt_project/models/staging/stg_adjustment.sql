select
    adjustment_id,
    month,
    branch_id,
    product_line,
    item,
    amount,
    reason,
    maker,
    checker
from {{ source('landing', 'adjustment') }}
