-- The linter cannot track the indentation of columns that a loop writes.
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

holder as (
    select *
    from {{ ref('base_account_holder') }}
    where is_beneficial
),

share as (
    select
        coalesce(holder.customer_id, '(none)') as customer_id,
        account_month.month,
        {%- for measure in additive_measures() %}
        {{ equal_share(
            'account_month.' ~ measure, 'coalesce(holder.holder_count, 1)',
            'coalesce(holder.holder_number, 1)'
        ) }} as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from account_month
    left join holder on account_month.account_id = holder.account_id
),

{{ roll_up('share', {'customer_id': 'customer_id'}) }}
