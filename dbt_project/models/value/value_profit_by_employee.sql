{%- set columns = ['month'] + additive_measures() -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

customer_profit as (
    {{- profit_with_attribute('employee_id') }}
),

-- The seller: the employee of the first contact that led to the account.
sale as (
    select
        responded_account_id as account_id,
        {{ month_of('responded_on') }} as month,
        employee_id
    from {{ ref('base_campaign_contact') }}
    where responded_account_id is not null and employee_id is not null
    qualify
        row_number() over (
            partition by responded_account_id
            order by responded_on asc, contacted_on asc, contact_id asc
        ) = 1
),

credited as (
    select
        'manager' as role,
        employee_id,
        {{ columns | join(',\n        ') }}
    from customer_profit
    union all
    select
        'seller' as role,
        coalesce(sale.employee_id, '(none)') as employee_id,
        {%- for column in columns %}
        account_month.{{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_account_month') }} as account_month
    cross join run
    left join sale
        on account_month.account_id = sale.account_id and account_month.month >= sale.month
    where account_month.month between run.month_from and run.month_to
),

{{ roll_up('credited', {'role': 'role', 'employee_id': 'employee_id'}) }}
