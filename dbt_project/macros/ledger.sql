{# Shared by the models that compare accounts with the ledger. #}

{# Ledger accounts that follow from bookings and balances. #}
{% macro booked_accounts() %}
    {{ return(['interest_income', 'interest_expense', 'fee_income', 'customer_balance']) }}
{% endmacro %}

{# What bookings by kind are in the ledger, in its signs. #}
{% macro booked_results() %}
    {{ return({
        'interest_income': ("('interest_charged')", '-amount'),
        'interest_expense': ("('interest_paid')", 'amount'),
        'fee_income': ("('fee', 'penalty')", '-amount'),
    }) }}
{% endmacro %}

{# Rows beside those of accounts by month, branch, line and booked_accounts(): what was booked before
   a move is taken from the branch at the month's end and given to the former branch. #}
{% macro bookings_before_moves() %}
    {%- for branch, sign in [('former_branch_id as branch_id', ''), ('branch_id', '-')] %}
    union all
    select
        month,
        {{ branch }},
        product_line,
        {%- for name, (kinds, amount) in booked_results().items() %}
        {{ sign }}(case when kind in {{ kinds }} then {{ amount }} else 0 end) as {{ name }},
        {%- endfor %}
        0 as customer_balance
    from {{ ref('base_booking_before_move') }}
    {%- endfor %}
{%- endmacro %}
