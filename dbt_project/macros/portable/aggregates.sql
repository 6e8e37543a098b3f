{# Ordered aggregates, which engines spell differently. #}

{# At the end of a query whose rows are grouped next, by the same keys and into many columns. DuckDB keeps
   the state of all these columns for almost every row that comes without its group beside it: sorting
   first takes a fraction of the time and memory of that. Spark brings the rows of a group together anyway. #}
{% macro clustered_by(keys) -%}
    {{ return(adapter.dispatch('clustered_by')(keys)) }}
{%- endmacro %}

{% macro duckdb__clustered_by(keys) %}order by {{ keys }}{% endmacro %}
{% macro spark__clustered_by(keys) %}{% endmacro %}

{# Concatenates texts; a filter may follow. #}
{% macro joined_text(text, separator, order_by) -%}
    {{ return(adapter.dispatch('joined_text')(text, separator, order_by)) }}
{%- endmacro %}

{% macro duckdb__joined_text(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order_by }})
{%- endmacro %}

{% macro spark__joined_text(text, separator, order_by) -%}
    listagg({{ text }}, '{{ separator }}') within group (order by {{ order_by }})
{%- endmacro %}

{# A sum of rounded terms that does not depend on the number of threads. #}
{% macro ordered_sum(term, order_by) -%}
    {{ return(adapter.dispatch('ordered_sum')(term, order_by)) }}
{%- endmacro %}

{% macro duckdb__ordered_sum(term, order_by) -%}
    sum({{ term }} order by {{ order_by }})
{%- endmacro %}

{% macro spark__ordered_sum(term, order_by) -%}
    aggregate(
        sort_array(collect_list(struct({{ order_by }}, cast({{ term }} as double) as term))),
        cast(0 as double),
        (so_far, one) -> so_far + coalesce(one.term, 0)
    )
{%- endmacro %}

{# The first or last value of a window that is not empty; the window follows. #}
{% macro known_value(place, value) -%}
    {{ return(adapter.dispatch('known_value')(place, value)) }}
{%- endmacro %}

{% macro duckdb__known_value(place, value) -%}
    {{ place }}_value({{ value }} ignore nulls)
{%- endmacro %}

{% macro spark__known_value(place, value) -%}
    {{ place }}_value({{ value }}, true)
{%- endmacro %}
