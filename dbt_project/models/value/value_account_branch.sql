{{ config(materialized='view') }}

{%- set on_credit = 'account_month.product_line in ' ~ quoted_list(product_lines('is_credit')) -%}
{%- set transfers = [
    'transfer_result', 'transfer_liquidity', 'transfer_option', 'transfer_policy',
] -%}
{%- set by_days = transfers + [
    'average_balance', 'overhead', 'expected_loss', 'economic_capital', 'capital_charge',
] -%}
{%- set amounts = [
    'interest_income', 'interest_expense', 'interest_income_booked', 'interest_expense_booked',
] + transfers + profit_measures() -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with move as (
    select * from {{ ref('base_account_move') }}
),

-- By the day of the booking.
booked as (
    select
        booking.account_id,
        booking.month,
        {%- for name, (kinds, amount) in booked_results().items() %}
        sum(
            case
                when booking.kind in {{ kinds }}
                    then {{ amount | replace('amount', 'booking.amount') }}
                else 0
            end
        ) as {{ name }},
        {%- endfor %}
        sum(booking.bookings * unit_cost.unit_cost) as cost
    from {{ ref('base_booking_before_move') }} as booking
    inner join {{ ref('value_unit_cost') }} as unit_cost
        on
            booking.channel = unit_cost.channel
            and booking.kind = unit_cost.kind
            and booking.month = unit_cost.month
    group by booking.account_id, booking.month
),

-- Delivered items, divided by days.
delivered as (
    select
        result.account_id,
        result.month,
        {{ sums_of_items() }}
    from {{ ref('base_account_result') }} as result
    inner join move
        on
            result.account_id = move.account_id
            and result.month = move.month
            and result.branch_id = move.former_branch_id
    group by result.account_id, result.month
),

before_move as (
    select
        account_month.account_id,
        account_month.month,
        account_month.product_line,
        move.former_branch_id as branch_id,
        cast(0 as decimal(18, 2)) as closing_balance,
        coalesce(
            delivered.replaces_interest_income,
            case when {{ on_credit }}
                then {{ share_of_days('accrued.interest', 'move.days_before', 'move.days_open') }}
            end,
            booked.interest_income,
            0
        ) + coalesce(delivered.adds_interest_income, 0) as interest_income,
        coalesce(
            delivered.replaces_interest_expense,
            case when not {{ on_credit }}
                then {{ share_of_days('accrued.interest', 'move.days_before', 'move.days_open') }}
            end,
            booked.interest_expense,
            0
        ) + coalesce(delivered.adds_interest_expense, 0) as interest_expense,
        coalesce(booked.interest_income, 0) as interest_income_booked,
        coalesce(booked.interest_expense, 0) as interest_expense_booked,
        coalesce(delivered.replaces_fee_income, booked.fee_income, 0)
        + coalesce(delivered.adds_fee_income, 0) as fee_income,
        coalesce(
            delivered.replaces_direct_cost,
            {{ from_cents(divide_units(
                units('coalesce(booked.cost, 0)', 4) ~ ' * move.days_open + '
                ~ units('parameter.maintenance_cost', 4) ~ ' * move.days_before',
                'move.days_open * 100'
            )) }}
        ) + coalesce(delivered.adds_direct_cost, 0) as direct_cost,
        {%- for measure in by_days %}
        {{ share_of_days('account_month.' ~ measure, 'move.days_before', 'move.days_open') }}
            as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_account_month') }} as account_month
    inner join move
        on account_month.account_id = move.account_id and account_month.month = move.month
    inner join {{ ref('value_product_parameter') }} as parameter
        on
            account_month.product_id = parameter.product_id
            and account_month.month = parameter.month
    left join {{ ref('value_accrued_interest') }} as accrued
        on
            account_month.account_id = accrued.account_id
            and account_month.month = accrued.month
    left join booked
        on account_month.account_id = booked.account_id and account_month.month = booked.month
    left join delivered
        on
            account_month.account_id = delivered.account_id
            and account_month.month = delivered.month
),

margin as (
    select
        *,
        interest_income - interest_expense + transfer_result as net_interest_margin
    from before_move
),

former as (
    select
        *,
        {{ contribution_margin() }} as contribution_margin,
        {{ economic_profit() }} as economic_profit
    from margin
)

-- What is left of the month belongs to the branch at its end.
select
    account_month.account_id,
    account_month.month,
    account_month.product_line,
    coalesce(account_month.branch_id, '(none)') as branch_id,
    {%- for amount in amounts %}
    cast(
        account_month.{{ amount }} - coalesce(former.{{ amount }}, 0) as decimal(18, 2)
    ) as {{ amount }}{{ "," if not loop.last }}
    {%- endfor %}
from {{ ref('value_account_month') }} as account_month
left join former
    on account_month.account_id = former.account_id and account_month.month = former.month
union all
select
    account_id,
    month,
    product_line,
    branch_id,
    {%- for amount in amounts %}
    cast({{ amount }} as decimal(18, 2)) as {{ amount }}{{ "," if not loop.last }}
    {%- endfor %}
from former
