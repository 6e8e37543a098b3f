{{ config(materialized='incremental') }}

with booked as (
    select
        move.account_id,
        move.month,
        move.former_branch_id,
        move.branch_id,
        move.product_line,
        coalesce(txn.channel, '(none)') as channel,
        txn.kind,
        count(*) as bookings,
        sum(txn.amount) as amount
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
)

select
    booked.account_id,
    booked.month,
    booked.former_branch_id,
    booked.branch_id,
    booked.product_line,
    booked.channel,
    booked.kind,
    cast(booked.bookings as integer) as bookings,
    {{ translated('booked.amount', 'average_rate') }} as amount
from booked
left join {{ ref('base_account_rate') }} as fx
    on booked.account_id = fx.account_id and booked.month = fx.month
