-- The linter loses the indentation of columns written by a loop.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

account_month as (
    select account_month.*
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
),

{{ roll_up('account_month', {'branch_id': "coalesce(branch_id, '(none)')"}) }}
