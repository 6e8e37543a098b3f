{# A quotient of doubles; empty if the divisor is zero. #}
{% macro ratio(dividend, divisor) -%}
    ({{ dividend }}) / nullif({{ divisor }}, 0)
{%- endmacro %}
