{# Shared by the lists. #}

{# Customers who are not suppressed. The lists check the customers of the plan again; a customer
   without a row in contactability is not contacted. #}
{% macro contactable() %}
    select *
    from {{ ref('contacts_contactability') }}
    where
        suppression is null
        and is_universal_control is not true
        and is_campaign_control is not true
{%- endmacro %}

{# The value for a customer without segment, an amount without district, an account without owner. #}
{% macro nobody() -%}
    '(none)'
{%- endmacro %}
