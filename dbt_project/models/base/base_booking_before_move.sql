{{ config(materialized='incremental') }}

select
    move.account_id,
    move.month,
    move.former_branch_id,
    move.branch_id,
    move.product_line,
    coalesce(txn.channel, '(none)') as channel,
    txn.kind,
    cast(count(*) as integer) as bookings,
    cast(sum(txn.amount) as decimal(18, 2)) as amount
from {{ ref('base_account_move') }} as move
cross join {{ ref('base_refresh_window') }} as run
inner join {{ ref('stg_transaction') }} as txn
    on
        move.account_id = txn.account_id
        and move.month = txn.month
        and move.moved_on > txn.booked_on
where move.month between run.month_from and run.month_to
group by
    move.account_id, move.month, move.former_branch_id, move.branch_id, move.product_line,
    coalesce(txn.channel, '(none)'), txn.kind
