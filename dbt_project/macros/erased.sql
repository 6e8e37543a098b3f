{#- Whether an id stands in the place of an erased person's
    (orchestration/platform/erased.py). -#}
{% macro is_erased(customer_id) -%}
    {{ customer_id }} like '_-erased-%'
{%- endmacro %}
