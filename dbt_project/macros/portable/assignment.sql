{# A number in [0, 1) determined by a text: the first 32 bits of its MD5. #}
{% macro drawn_from(words) -%}
    {{ return(adapter.dispatch('drawn_from')(words)) }}
{%- endmacro %}

{% macro duckdb__drawn_from(words) -%}
    (cast('0x' || substr(md5({{ words }}), 1, 8) as bigint) / 4294967296.0)
{%- endmacro %}

{# Whether a word is one of a list separated by spaces. #}
{% macro is_listed(word, list) -%}
    (' ' || {{ list }} || ' ') like ('% ' || {{ word }} || ' %')
{%- endmacro %}

{# A non-negative integer determined by the values. #}
{% macro hashed(values) -%}
    {{ return(adapter.dispatch('hashed')(values)) }}
{%- endmacro %}

{% macro duckdb__hashed(values) -%}
    hash({{ values | join(', ') }})
{%- endmacro %}
