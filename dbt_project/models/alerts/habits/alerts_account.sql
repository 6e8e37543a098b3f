with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- Accounts are attributed to an owner; the accounts of a customer are judged together.
owner as (
    select
        account_id,
        min(customer_id) as customer_id
    from {{ ref('base_account_holder') }}
    where role = 'owner' and not {{ is_erased('customer_id') }}
    group by account_id
)

select
    account.account_id,
    owner.customer_id,
    account.product_line,
    account.opened_on,
    account.closed_on,
    greatest(
        1,
        {{ days_from_to(
            'greatest(account.opened_on, '
            ~ months_later('run.as_of_month', -profile_months()) ~ ')',
            'run.as_of_month'
        ) }}
    ) as days_known
from {{ ref('base_account') }} as account
cross join run
inner join owner on account.account_id = owner.account_id
