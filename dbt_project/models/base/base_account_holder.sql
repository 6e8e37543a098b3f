with holder as (
    select * from {{ latest_extract(ref('stg_account_holder')) }} as latest
),

account as (
    select * from {{ latest_extract(ref('stg_account')) }} as latest
),

held as (
    select
        holder.account_id,
        holder.customer_id,
        holder.role,
        account.opened_on,
        holder.role in ('owner', 'joint') as is_beneficial
    from holder
    inner join account on holder.account_id = account.account_id
)

select
    account_id,
    customer_id,
    role,
    is_beneficial,
    case
        when is_beneficial
            then cast(
                row_number() over (
                    partition by account_id, is_beneficial order by customer_id
                ) as integer
            )
    end as holder_number,
    cast(
        sum(case when is_beneficial then 1 else 0 end) over (partition by account_id) as integer
    ) as holder_count,
    opened_on
from held
