{%- set columns = ['month'] + additive_measures() -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

customer_profit as (
    {{- profit_with_attribute('employee_id') }}
),

sale as (
    {{ sale_by('employee_id') }}
),

account_month as (
    select account_month.*
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
),

part as (
    select
        credit.party,
        credit.employee_id,
        credit.units,
        credit.all_units,
        account_month.*
    from account_month
    inner join {{ ref('value_account_credit') }} as credit
        on account_month.account_id = credit.account_id and account_month.month = credit.month
),

-- Equal parts, as joint holders have, need one order of the parties and not one a measure.
shared as (
    select
        *,
        row_number() over (partition by account_id, month order by party) as place,
        count(*) over (partition by account_id, month) as parties,
        max(units) over (partition by account_id, month) as most_units
    from part
    where units < all_units
),

credited as (
    select
        'credited' as role,
        employee_id,
        {{ columns | join(',\n        ') }}
    from part
    where units = all_units
    union all
    select
        'credited' as role,
        employee_id,
        month,
        {%- for measure in additive_measures() %}
        {{ equal_share(measure, 'parties', 'place') }} as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from shared
    where most_units * parties = all_units
    union all
    select
        'credited' as role,
        employee_id,
        month,
        {%- for measure in additive_measures() %}
        {{ share_of_units(measure, 'units', 'all_units', 'account_id, month', 'party') }}
            as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from shared
    where most_units * parties <> all_units
    union all
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
    from account_month
    left join sale
        on account_month.account_id = sale.account_id and account_month.month >= sale.month
),

{{ roll_up('credited', {'role': 'role', 'employee_id': 'employee_id'}) }}
