-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

account_month as (
    select
        account_month.*,
        cast(year(account.opened_on) as integer) as opened_year,
        case
            when {{ months_from_to('account.opened_on', 'account_month.month') }} < 12 then 'new'
            else 'existing'
        end as business
    from {{ ref('value_account_month') }} as account_month
    cross join run
    inner join {{ ref('base_account') }} as account
        on account_month.account_id = account.account_id
    where account_month.month between run.month_from and run.month_to
),

{{ roll_up('account_month', {'business': 'business', 'opened_year': 'opened_year'}) }}
