with run as (
    select * from {{ ref('base_refresh_window') }}
),

owner as (
    select
        account_id,
        min(customer_id) as customer_id
    from {{ ref('base_account_holder') }}
    where role = 'owner' and not {{ is_erased('customer_id') }}
    group by account_id
),

opened as (
    select
        account.account_id,
        owner.customer_id,
        account.opened_on,
        account.product_id,
        account.product_line,
        {{ months_later(month_of('account.opened_on'), opening_months()) }} as matured_on,
        {{ months_later(month_of('account.opened_on'), -1) }} as features_month
    from {{ ref('base_account') }} as account
    inner join owner on account.account_id = owner.account_id
),

brought as (
    select
        opened.account_id,
        sum(value.contribution_margin + value.expected_loss) as brought
    from opened
    inner join {{ ref('value_account_month') }} as value
        on opened.account_id = value.account_id and opened.matured_on > value.month
    group by opened.account_id
)

select
    opened.account_id,
    opened.customer_id,
    opened.opened_on,
    opened.matured_on,
    opened.features_month,
    opened.product_id,
    opened.product_line,
    cast(brought.brought as decimal(18, 2)) as brought
from opened
cross join run
inner join brought on opened.account_id = brought.account_id
where opened.matured_on <= {{ months_later('run.as_of_month', 1) }}
