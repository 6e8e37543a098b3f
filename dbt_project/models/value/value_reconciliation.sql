{#- Each roll-up: its table and the rows that sum to the whole. -#}
{%- set roll_ups = {
    'customer': ('value_profit_by_customer', 'true'),
    'household': ('value_profit_by_household', 'true'),
    'group': ('value_profit_by_group', 'true'),
    'kind': ('value_profit_by_kind', 'true'),
    'product': ('value_profit_by_product', 'true'),
    'branch': ('value_profit_by_branch', 'true'),
    'line': ('value_profit_by_line', 'true'),
    'channel': ('value_profit_by_channel', 'true'),
    'district': ('value_profit_by_district', 'true'),
    'vintage': ('value_profit_by_vintage', 'true'),
    'pro_forma_branch': ('value_profit_pro_forma', "dimension = 'branch'"),
    'pro_forma_manager': ('value_profit_pro_forma', "dimension = 'manager'"),
    'credited': ('value_profit_by_employee', "role = 'credited'"),
    'manager': ('value_profit_by_employee', "role = 'manager'"),
    'seller': ('value_profit_by_employee', "role = 'seller'"),
    'tier': ('value_profit_by_tier', 'true'),
    'decile': ('value_profit_by_decile', 'true'),
} -%}
{#- Account of the ledger: what it is in the atom. -#}
{%- set ledger_accounts = {
    'interest_income': 'interest_income_booked',
    'interest_expense': 'interest_expense_booked',
    'fee_income': 'fee_income - fee_items',
    'customer_balance': 'closing_balance',
} -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with cell as (
    select
        month,
        branch_id,
        product_line,
        sum(interest_income) as interest_income,
        sum(interest_expense) as interest_expense,
        sum(interest_income_booked) as interest_income_booked,
        sum(interest_expense_booked) as interest_expense_booked,
        sum(transfer_result) as transfer_result,
        {%- for measure in profit_measures() %}
        sum({{ measure }}) as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_account_branch') }}
    group by month, branch_id, product_line
),

-- Delivered items where the atom has them.
item as (
    select
        account_month.month,
        account_month.branch_id,
        account_month.product_line,
        result.item,
        sum(result.amount) as amount
    from {{ ref('base_account_result') }} as result
    inner join {{ ref('value_account_branch') }} as account_month
        on
            result.account_id = account_month.account_id
            and result.month = account_month.month
            and result.branch_id = account_month.branch_id
    group by
        account_month.month, account_month.branch_id, account_month.product_line, result.item
),

fee_item as (
    select
        month,
        branch_id,
        product_line,
        sum(amount) as fee_items
    from item
    where item in {{ quoted_list(result_items('fee_income', 'adds')) }}
    group by month, branch_id, product_line
),

ledger_month as (
    select distinct
        month,
        ledger_account
    from {{ ref('base_ledger_reconciliation') }}
),

control as (
    select
        month,
        branch_id,
        product_line,
        ledger_account,
        ledger as amount,
        adjustment,
        tolerance,
        'ledger' as control
    from {{ ref('base_ledger_reconciliation') }}
    union all
    -- The bookings replace the ledger in months without one.
    select
        source.month,
        source.branch_id,
        source.product_line,
        source.ledger_account,
        source.amount,
        0 as adjustment,
        0 as tolerance,
        'source' as control
    from {{ ref('value_source_total') }} as source
    left join ledger_month
        on
            source.month = ledger_month.month
            and source.ledger_account = ledger_month.ledger_account
    where ledger_month.month is null
),

valued as (
    {%- for name, measure in ledger_accounts.items() %}
    select
        cell.month,
        cell.branch_id,
        cell.product_line,
        '{{ name }}' as ledger_account,
        {{ measure | replace('fee_items', 'coalesce(fee_item.fee_items, 0)') }} as amount
    from cell
    left join fee_item
        on
            cell.month = fee_item.month
            and cell.branch_id = fee_item.branch_id
            and cell.product_line = fee_item.product_line
    union all
    {%- endfor %}
    select
        month,
        branch_id,
        product_line,
        item as ledger_account,
        amount
    from item
),

-- Margin, treasury and what accrued without a booking together: what customers paid and were paid.
treasury as (
    select
        month,
        branch_id,
        product_line,
        sum(amount) as amount,
        sum(case when residual = 'interest not booked' then amount else 0 end) as not_booked
    from {{ ref('value_residual') }}
    where residual = 'interest not booked' or residual like 'treasury: %'
    group by month, branch_id, product_line
),

pool as (
    select
        month,
        sum(amount) as amount
    from {{ ref('value_overhead_pool') }}
    group by month
),

unallocated as (
    select
        month,
        sum(amount) as amount
    from {{ ref('value_residual') }}
    where residual like 'unallocated overhead%'
    group by month
),

-- Cost that is charged, unallocated or unused, in the months whose ledger has operating cost.
cost_part as (
    select
        month,
        branch_id,
        product_line,
        direct_cost + overhead as amount
    from cell
    union all
    select
        month,
        branch_id,
        product_line,
        -amount as amount
    from item
    where item in {{ quoted_list(result_items('direct_cost', 'adds')) }}
    union all
    select
        month,
        branch_id,
        product_line,
        amount
    from {{ ref('value_residual') }}
    where
        residual in ('unused capacity', 'adjustment: operating_cost')
        or residual like 'unallocated overhead%'
),

cost as (
    select
        cost_part.month,
        cost_part.branch_id,
        cost_part.product_line,
        sum(cost_part.amount) as amount
    from cost_part
    inner join (select distinct month from {{ ref('base_operating_cost') }}) as cost_month
        on cost_part.month = cost_month.month
    group by cost_part.month, cost_part.branch_id, cost_part.product_line
),

atom as (
    select
        month,
        {%- for measure in profit_measures() %}
        sum({{ measure }}) as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from cell
    group by month
),

{%- for name, (model, condition) in roll_ups.items() %}

{{ name }}_total as (
    select
        month,
        {%- for measure in profit_measures() %}
        sum({{ measure }}) as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref(model) }}
    where {{ condition }}
    group by month
),
{%- endfor %}

compared as (
    select
        coalesce(control.month, valued.month) as month,
        coalesce(
            control.control, case when ledger_month.month is null then 'source' else 'ledger' end
        ) as dimension,
        coalesce(control.branch_id, valued.branch_id) || ' / '
        || coalesce(control.product_line, valued.product_line) as dimension_key,
        coalesce(control.ledger_account, valued.ledger_account) as measure,
        coalesce(control.amount, 0) as expected,
        coalesce(valued.amount, 0) + coalesce(control.adjustment, 0) as actual,
        coalesce(control.tolerance, 0) as tolerance
    from control
    full outer join valued
        on
            control.month = valued.month
            and control.branch_id = valued.branch_id
            and control.product_line = valued.product_line
            and control.ledger_account = valued.ledger_account
    left join ledger_month
        on
            valued.month = ledger_month.month
            and valued.ledger_account = ledger_month.ledger_account
    union all
    select
        cell.month,
        'treasury' as dimension,
        cell.branch_id || ' / ' || cell.product_line as dimension_key,
        'net_interest_margin' as measure,
        cell.interest_income_booked - cell.interest_expense_booked as expected,
        cell.net_interest_margin + coalesce(treasury.amount, 0) as actual,
        0 as tolerance
    from cell
    left join treasury
        on
            cell.month = treasury.month
            and cell.branch_id = treasury.branch_id
            and cell.product_line = treasury.product_line
    union all
    select
        cell.month,
        'accrual' as dimension,
        cell.branch_id || ' / ' || cell.product_line as dimension_key,
        'net_interest' as measure,
        cell.interest_income_booked - cell.interest_expense_booked as expected,
        cell.interest_income - cell.interest_expense + coalesce(treasury.not_booked, 0) as actual,
        0 as tolerance
    from cell
    left join treasury
        on
            cell.month = treasury.month
            and cell.branch_id = treasury.branch_id
            and cell.product_line = treasury.product_line
    union all
    select
        coalesce(ledger.month, cost.month) as month,
        'operating cost' as dimension,
        coalesce(ledger.branch_id, cost.branch_id) || ' / '
        || coalesce(ledger.product_line, cost.product_line) as dimension_key,
        'operating_cost' as measure,
        coalesce(ledger.amount, 0) as expected,
        coalesce(cost.amount, 0) as actual,
        0 as tolerance
    from {{ ref('base_operating_cost') }} as ledger
    full outer join cost
        on
            ledger.month = cost.month
            and ledger.branch_id = cost.branch_id
            and ledger.product_line = cost.product_line
    union all
    select
        atom.month,
        'overhead pools' as dimension,
        'all' as dimension_key,
        'overhead' as measure,
        coalesce(pool.amount, 0) as expected,
        atom.overhead + coalesce(unallocated.amount, 0) as actual,
        0 as tolerance
    from atom
    left join pool on atom.month = pool.month
    left join unallocated on atom.month = unallocated.month
    {%- for name in roll_ups %}
    {%- for measure in profit_measures() %}
    union all
    select
        coalesce(atom.month, {{ name }}_total.month) as month,
        '{{ name }}' as dimension,
        'all' as dimension_key,
        '{{ measure }}' as measure,
        coalesce(atom.{{ measure }}, 0) as expected,
        coalesce({{ name }}_total.{{ measure }}, 0) as actual,
        0 as tolerance
    from atom
    full outer join {{ name }}_total on atom.month = {{ name }}_total.month
    {%- endfor %}
    {%- endfor %}
)

select
    month,
    dimension,
    dimension_key,
    measure,
    cast(expected as decimal(18, 2)) as expected,
    cast(actual as decimal(18, 2)) as actual,
    cast(actual - expected as decimal(18, 2)) as difference,
    cast(tolerance as decimal(18, 2)) as tolerance
from compared
