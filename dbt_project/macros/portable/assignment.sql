{# A whole number determined by a text: the first digits of its MD5 in hexadecimal, 15 at most. #}
{% macro digest(words, digits=15) -%}
    {{ return(adapter.dispatch('digest')(words, digits)) }}
{%- endmacro %}

{% macro duckdb__digest(words, digits=15) -%}
    cast('0x' || substr(md5({{ words }}), 1, {{ digits }}) as bigint)
{%- endmacro %}

{% macro spark__digest(words, digits=15) -%}
    cast(conv(substr(md5({{ words }}), 1, {{ digits }}), 16, 10) as bigint)
{%- endmacro %}

{# A number in [0, 1) determined by a text: the first 32 bits of its MD5. #}
{% macro drawn_from(words) -%}
    (cast({{ digest(words, 8) }} as double) / 4294967296)
{%- endmacro %}

{# Whether a word is one of a list separated by spaces. #}
{% macro is_listed(word, list) -%}
    (' ' || {{ list }} || ' ') like ('% ' || {{ word }} || ' %')
{%- endmacro %}
