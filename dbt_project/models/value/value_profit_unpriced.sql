{%- set measures = [
    'net_interest_margin', 'fee_income', 'direct_cost', 'overhead', 'expected_loss',
    'economic_capital', 'capital_charge',
] -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

unpriced as (
    select account_month.*
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where
        account_month.closing_balance is null
        and account_month.month between run.month_from and run.month_to
),

holder as (
    select *
    from {{ ref('base_account_holder') }}
    where is_beneficial
),

-- As value.profit_by_customer divides them.
share as (
    select
        unpriced.account_id,
        coalesce(holder.customer_id, '(none)') as customer_id,
        unpriced.month,
        {%- for measure in measures %}
        {{ equal_share(
            'unpriced.' ~ measure, 'coalesce(holder.holder_count, 1)',
            'coalesce(holder.holder_number, 1)'
        ) }} as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from unpriced
    left join holder on unpriced.account_id = holder.account_id
),

attributed as (
    select
        share.*,
        coalesce(customer.employee_id, '(none)') as employee_id,
        coalesce(customer.group_id, '(none)') as group_id
    from share
    left join {{ ref('base_customer_history') }} as customer
        on
            share.customer_id = customer.customer_id
            and customer.valid_from <= last_day(share.month)
            and (customer.valid_to is null or customer.valid_to > last_day(share.month))
),

-- As value.profit_by_employee credits them.
credited as (
    select
        unpriced.account_id,
        credit.employee_id,
        unpriced.month,
        {%- for measure in measures %}
        {{ share_of_units(
            'unpriced.' ~ measure, 'credit.units', 'credit.all_units',
            'unpriced.account_id, unpriced.month', 'credit.party'
        ) }} as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from unpriced
    inner join {{ ref('value_account_credit') }} as credit
        on unpriced.account_id = credit.account_id and unpriced.month = credit.month
),

branch as (
    select part.*
    from {{ ref('value_account_branch') }} as part
    inner join unpriced on part.account_id = unpriced.account_id and part.month = unpriced.month
),

part as (
    {%- for dimension, (key, relation) in {
        'line': ('product_line', 'unpriced'), 'product': ('product_id', 'unpriced'),
        'branch': ('branch_id', 'branch'), 'customer': ('customer_id', 'share'),
        'manager': ('employee_id', 'attributed'), 'group': ('group_id', 'attributed'),
        'credited': ('employee_id', 'credited'),
    }.items() %}
    select
        '{{ dimension }}' as dimension,
        {{ key }} as dimension_key,
        month,
        account_id,
        {{ measures | join(',\n        ') }}
    from {{ relation }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

summed as (
    select
        dimension,
        dimension_key,
        month,
        count(distinct account_id) as accounts,
        {%- for measure in measures %}
        sum({{ measure }}) as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from part
    group by dimension, dimension_key, month
)

select
    dimension,
    dimension_key,
    month,
    cast(accounts as integer) as accounts,
    {%- for measure in measures %}
    cast({{ measure }} as decimal(18, 2)) as {{ measure }},
    {%- endfor %}
    {{ contribution_margin() }} as contribution_margin,
    {{ economic_profit() }} as economic_profit
from summed
