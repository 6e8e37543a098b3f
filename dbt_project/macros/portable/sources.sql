{# What another engine than the warehouse reads of what the refresh made before: the landed records
   and the tables of Python. #}
{% macro take_sources() -%}
    {%- if execute -%}{{ return(adapter.dispatch('take_sources')()) }}{%- endif -%}
{%- endmacro %}

{% macro duckdb__take_sources() -%}{%- endmacro %}

{# Views of Parquet files: DBT_SPARK_SOURCES holds, as JSON by table, the `files` and the `last` day
   of its rows by a `column`, if there is one. #}
{% macro spark__take_sources() -%}
    {%- set given = fromjson(env_var('DBT_SPARK_SOURCES', '{}')) -%}
    {%- set schemas = [] -%}
    {%- for table, source in given.items() -%}
        {%- set schema = table.split('.')[0] -%}
        {%- if schema not in schemas -%}
            {%- do schemas.append(schema) -%}
            {%- do run_query('create schema if not exists ' ~ schema) -%}
        {%- endif -%}
        {%- do run_query(
            'create or replace view ' ~ table ~ ' as select * from parquet.`' ~ source['files'] ~ '`'
            ~ (' where ' ~ source['column'] ~ " <= date '" ~ source['last'] ~ "'"
                if source['column'] else '')
        ) -%}
    {%- endfor -%}
{%- endmacro %}
