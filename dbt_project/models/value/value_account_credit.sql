with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- The day that decides: the last of the month, or of the account.
account_month as (
    select
        account_month.account_id,
        account_month.month,
        least(last_day(account_month.month), account.closed_on) as credited_on
    from {{ ref('base_account_month') }} as account_month
    cross join run
    left join {{ ref('base_account') }} as account
        on account_month.account_id = account.account_id
    where account_month.month between run.month_from and run.month_to
),

owned as (
    select
        account_month.account_id,
        account_month.month,
        owner.employee_id,
        sum({{ units('owner.share', 6) }}) as units
    from account_month
    inner join {{ ref('base_account_owner') }} as owner
        on
            account_month.account_id = owner.account_id
            and account_month.credited_on >= owner.valid_from
            and (owner.valid_to is null or account_month.credited_on <= owner.valid_to)
    group by account_month.account_id, account_month.month, owner.employee_id
),

in_all as (
    select
        account_id,
        month,
        sum(units) as units
    from owned
    group by account_id, month
),

credit as (
    select
        account_id,
        month,
        employee_id,
        employee_id as party,
        units,
        1000000 as all_units
    from owned
    union all
    select
        account_id,
        month,
        '(none)' as employee_id,
        '(none)' as party,
        1000000 - units as units,
        1000000 as all_units
    from in_all
    where units < 1000000
    union all
    -- Without an owner, the manager of each customer.
    select
        account_month.account_id,
        account_month.month,
        coalesce(customer.employee_id, '(none)') as employee_id,
        coalesce(holder.customer_id, '(none)') as party,
        1 as units,
        coalesce(holder.holder_count, 1) as all_units
    from account_month
    left join in_all
        on account_month.account_id = in_all.account_id and account_month.month = in_all.month
    left join {{ ref('base_account_holder') }} as holder
        on account_month.account_id = holder.account_id and holder.is_beneficial
    left join {{ ref('base_customer_history') }} as customer
        on
            holder.customer_id = customer.customer_id
            and customer.valid_from <= last_day(account_month.month)
            and (
                customer.valid_to is null or customer.valid_to > last_day(account_month.month)
            )
    where in_all.account_id is null
)

select
    account_id,
    month,
    party,
    employee_id,
    cast(units as integer) as units,
    cast(all_units as integer) as all_units
from credit
