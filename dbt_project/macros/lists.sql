{# The contract's lists, as the wide tables spread them over columns. #}
{% macro product_lines() %}
    {{ return(['deposits', 'lending', 'cards', 'wealth', 'agency', 'payments']) }}
{% endmacro %}

{% macro booking_channels() %}
    {{ return(['branch', 'atm', 'card', 'online', 'mobile', 'telephone', 'standing_order',
               'system']) }}
{% endmacro %}

{# Channels a customer uses by hand: a booking there shows that the customer is active. #}
{% macro active_channels() %}
    {{ return(['branch', 'atm', 'card', 'online', 'mobile', 'telephone']) }}
{% endmacro %}

{# Kinds of booking in groups of like behaviour: every kind of the contract is in exactly one. #}
{% macro booking_groups() %}
    {{ return({
        'income': ['salary', 'pension'],
        'cash_in': ['deposit'],
        'cash_out': ['withdrawal'],
        'transfer_in': ['transfer_in'],
        'transfer_out': ['transfer_out'],
        'card_payment': ['card_payment'],
        'credit': ['loan_payout', 'loan_repayment'],
        'investment': ['purchase', 'sale', 'insurance_premium'],
        'charge': ['interest_paid', 'interest_charged', 'fee', 'penalty'],
        'other': ['other'],
    }) }}
{% endmacro %}

{% macro booking_kinds() %}
    {%- set kinds = [] -%}
    {%- for group in booking_groups().values() -%}
        {%- do kinds.extend(group) -%}
    {%- endfor -%}
    {{ return(kinds) }}
{% endmacro %}

{# The columns that count bookings by channel and by group. #}
{% macro channel_counts() %}
    {%- set columns = [] -%}
    {%- for channel in booking_channels() + ['no_channel'] -%}
        {%- do columns.append('bookings_' ~ channel) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}

{% macro group_counts() %}
    {%- set columns = [] -%}
    {%- for group in booking_groups() -%}
        {%- do columns.append('bookings_' ~ group) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}

{% macro quoted_list(names) -%}
    ('{{ names | join("', '") }}')
{%- endmacro %}
