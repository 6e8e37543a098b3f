{# Aggregates in an order, which engines spell differently. #}

{# Texts joined to one; a filter may follow. #}
{% macro joined_text(text, separator, order_by) -%}
    {{ return(adapter.dispatch('joined_text')(text, separator, order_by)) }}
{%- endmacro %}

{% macro duckdb__joined_text(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order_by }})
{%- endmacro %}

{# A sum of rounded terms that is the same however many threads add. #}
{% macro ordered_sum(term, order_by) -%}
    {{ return(adapter.dispatch('ordered_sum')(term, order_by)) }}
{%- endmacro %}

{% macro duckdb__ordered_sum(term, order_by) -%}
    sum({{ term }} order by {{ order_by }})
{%- endmacro %}
