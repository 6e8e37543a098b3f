{# Ordered aggregates, which engines spell differently. #}

{# Concatenates texts; a filter may follow. #}
{% macro joined_text(text, separator, order_by) -%}
    {{ return(adapter.dispatch('joined_text')(text, separator, order_by)) }}
{%- endmacro %}

{% macro duckdb__joined_text(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order_by }})
{%- endmacro %}

{# A sum of rounded terms that does not depend on the number of threads. #}
{% macro ordered_sum(term, order_by) -%}
    {{ return(adapter.dispatch('ordered_sum')(term, order_by)) }}
{%- endmacro %}

{% macro duckdb__ordered_sum(term, order_by) -%}
    sum({{ term }} order by {{ order_by }})
{%- endmacro %}
