{# Written by `python -m orchestration.platform.vocabulary` from seeds/vocabulary and
   sources/contract.py. #}
{# Product lines, or those with a property: a column of product_line.csv that is true,
   or a price. #}
{% macro product_lines(which='all') %}
    {{ return({
        'all': ['deposits', 'lending', 'cards', 'wealth', 'agency', 'payments'],
        'is_credit': ['lending', 'cards'],
        'holds_loans': ['lending'],
        'may_overdraw': ['deposits'],
        'is_invested': ['wealth'],
        'is_entrusted': ['deposits', 'wealth'],
        'is_on_scorecard': ['deposits', 'lending', 'wealth'],
        'deposit_rate': ['deposits'],
        'loan_rate': ['lending', 'cards'],
        'fee': ['wealth', 'agency', 'payments'],
    }[which]) }}
{% endmacro %}

{# A customer's attributes that the contract passes on, and those that are features. #}
{% macro customer_attributes() %}
    {{ return(['occupation', 'education', 'marital_status', 'monthly_income', 'customer_kind', 'industry', 'company_size', 'is_inclusive_finance', 'group_id']) }}
{% endmacro %}

{% macro feature_attributes() %}
    {{ return({
        'customer_kind': 'varchar',
        'company_size': 'varchar',
        'occupation': 'varchar',
        'education': 'varchar',
        'marital_status': 'varchar',
        'monthly_income': 'double',
    }) }}
{% endmacro %}

{# Channels of bookings; a manual booking shows that the customer is active. #}
{% macro booking_channels(which='all') %}
    {{ return({
        'all': ['branch', 'atm', 'card', 'online', 'mobile', 'telephone', 'standing_order', 'system'],
        'is_by_hand': ['branch', 'atm', 'card', 'online', 'mobile', 'telephone'],
    }[which]) }}
{% endmacro %}

{# Kinds of booking by group; every kind is in exactly one. #}
{% macro booking_groups() %}
    {{ return({
        'income': ['salary', 'pension'],
        'cash_in': ['deposit'],
        'cash_out': ['withdrawal'],
        'transfer_in': ['transfer_in'],
        'transfer_out': ['transfer_out'],
        'card_payment': ['card_payment'],
        'credit': ['loan_payout', 'loan_repayment', 'write_off', 'recovery'],
        'investment': ['purchase', 'sale', 'insurance_premium'],
        'charge': ['interest_paid', 'interest_charged', 'fee', 'penalty'],
        'other': ['other'],
    }) }}
{% endmacro %}

{# Delivered items of an account's result that replace a measure or add to it. #}
{% macro result_items(measure, effect) %}
    {{ return({
        'interest_income replaces': ['accrued_interest_income'],
        'interest_income adds': [],
        'interest_expense replaces': ['accrued_interest_expense'],
        'interest_expense adds': [],
        'fee_income replaces': [],
        'fee_income adds': ['interchange', 'commission', 'asset_fee'],
        'direct_cost replaces': [],
        'direct_cost adds': ['tax'],
        'expected_loss replaces': ['provision'],
        'expected_loss adds': ['realised_loss'],
    }[measure ~ ' ' ~ effect]) }}
{% endmacro %}

{# Days within which a response counts. #}
{% macro response_days() %}
    {{ return(60) }}
{% endmacro %}
