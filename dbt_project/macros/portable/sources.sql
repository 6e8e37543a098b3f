{# What another engine reads of what the warehouse keeps. #}
{% macro take_sources() -%}
    {%- if execute -%}{{ return(adapter.dispatch('take_sources')()) }}{%- endif -%}
{%- endmacro %}

{% macro duckdb__take_sources() -%}{%- endmacro %}

{# Landed records and the tables of Python: DBT_SPARK_SOURCES has, as JSON by table, the Parquet `files`
   and, of landed months, a `column` and the `last` day of it that is read. #}
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
