{# Dates that engines spell differently. Another engine adds its own prefix to each name. #}

{# First day of a date's month. #}
{% macro month_of(day) -%}
    cast(date_trunc('month', {{ day }}) as date)
{%- endmacro %}

{# The date a number of whole months later; months may be an expression and may be negative. #}
{% macro months_later(day, months) -%}
    {{ return(adapter.dispatch('months_later')(day, months)) }}
{%- endmacro %}

{% macro duckdb__months_later(day, months) -%}
    cast({{ day }} + to_months(cast({{ months }} as integer)) as date)
{%- endmacro %}

{% macro spark__months_later(day, months) -%}
    add_months({{ day }}, cast({{ months }} as integer))
{%- endmacro %}

{# Days from one date to another, negative when `till` lies before. #}
{% macro days_from_to(since, till) -%}
    {{ return(adapter.dispatch('days_from_to')(since, till)) }}
{%- endmacro %}

{% macro duckdb__days_from_to(since, till) -%}
    cast({{ till }} - {{ since }} as integer)
{%- endmacro %}

{% macro spark__days_from_to(since, till) -%}
    datediff({{ till }}, {{ since }})
{%- endmacro %}

{# Calendar months from one date's month to another's. #}
{% macro months_from_to(since, till) -%}
    cast(
        (year({{ till }}) - year({{ since }})) * 12 + month({{ till }}) - month({{ since }})
        as integer
    )
{%- endmacro %}

{# Full years completed between a date and a later one. #}
{% macro full_years_from_to(since, till) -%}
    cast(
        year({{ till }}) - year({{ since }})
        - case
            when month({{ till }}) * 100 + day({{ till }})
                < month({{ since }}) * 100 + day({{ since }}) then 1
            else 0
        end
        as integer
    )
{%- endmacro %}

{# A query with one row per month (`month`), from the first to the last of a one-row relation. #}
{% macro each_month(relation, first, last) -%}
    {{ return(adapter.dispatch('each_month')(relation, first, last)) }}
{%- endmacro %}

{% macro duckdb__each_month(relation, first, last) -%}
    select cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 month)) as date) as month
    from {{ relation }}
{%- endmacro %}

{% macro spark__each_month(relation, first, last) -%}
    select explode(sequence({{ first }}, {{ last }}, interval 1 month)) as month
    from {{ relation }}
{%- endmacro %}

{# A query with the whole numbers (`number`) from 1 to a column of a one-row relation. #}
{% macro each_number(relation, last) -%}
    {{ return(adapter.dispatch('each_number')(relation, last)) }}
{%- endmacro %}

{% macro duckdb__each_number(relation, last) -%}
    select unnest(generate_series(1, {{ last }})) as number
    from {{ relation }}
{%- endmacro %}

{# A sequence to a number below its first counts down. #}
{% macro spark__each_number(relation, last) -%}
    select explode(sequence(1L, greatest({{ last }}, 1))) as number
    from {{ relation }}
    where {{ last }} >= 1
{%- endmacro %}
