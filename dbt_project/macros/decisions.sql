{# What the lists share. #}

{# Customers whom nothing forbids to contact. The lists ask this again of whomever the plan chose;
   who is not in contactability is not contacted. #}
{% macro contactable() %}
    select *
    from {{ ref('contacts_contactability') }}
    where
        suppression is null
        and is_universal_control is not true
        and is_campaign_control is not true
{%- endmacro %}

{# Stands where a customer has no segment, value no district, and an account no owner. #}
{% macro nobody() -%}
    '(none)'
{%- endmacro %}
