{{ config(materialized='incremental') }}

select
    adjustment.adjustment_id,
    adjustment.month,
    adjustment.branch_id,
    adjustment.product_line,
    adjustment.item,
    adjustment.amount,
    adjustment.reason,
    adjustment.maker,
    adjustment.checker
from {{ ref('stg_adjustment') }} as adjustment
cross join {{ ref('base_refresh_window') }} as run
where adjustment.month between run.month_from and run.month_to
