{{ config(materialized='incremental') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

delivered as (
    select
        result.account_id,
        result.month,
        result.item,
        sum(result.amount) as amount
    from {{ ref('stg_account_result') }} as result
    cross join run
    where result.month between run.month_from and run.month_to
    group by result.account_id, result.month, result.item
),

in_bank_currency as (
    select
        delivered.account_id,
        delivered.month,
        delivered.item,
        {{ translated('delivered.amount', 'average_rate') }} as amount
    from delivered
    left join {{ ref('base_account_rate') }} as fx
        on delivered.account_id = fx.account_id and delivered.month = fx.month
),

placed as (
    select
        delivered.*,
        move.former_branch_id,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        coalesce(account_month.product_line, '(none)') as product_line,
        case
            when move.account_id is null then 0
            else {{ share_of_days('delivered.amount', 'move.days_before', 'move.days_open') }}
        end as amount_before
    from in_bank_currency as delivered
    left join {{ ref('base_account_month') }} as account_month
        on
            delivered.account_id = account_month.account_id
            and delivered.month = account_month.month
    left join {{ ref('base_account_move') }} as move
        on delivered.account_id = move.account_id and delivered.month = move.month
)

select
    account_id,
    month,
    item,
    branch_id,
    product_line,
    cast(amount - amount_before as decimal(18, 2)) as amount
from placed
union all
select
    account_id,
    month,
    item,
    former_branch_id as branch_id,
    product_line,
    cast(amount_before as decimal(18, 2)) as amount
from placed
where former_branch_id is not null
