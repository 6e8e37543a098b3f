{{ config(materialized='incremental') }}

select
    ledger.month,
    ledger.branch_id,
    ledger.product_line,
    cast(sum(ledger.amount) as decimal(18, 2)) as amount
from {{ ref('stg_ledger') }} as ledger
cross join {{ ref('base_refresh_window') }} as run
where
    ledger.ledger_account = 'operating_cost'
    and ledger.month between run.month_from and run.month_to
group by ledger.month, ledger.branch_id, ledger.product_line
