{# What one engine reads of what the other keeps, as views of Parquet files. #}
{% macro take_sources() -%}
    {%- if execute -%}{{ return(adapter.dispatch('take_sources')()) }}{%- endif -%}
{%- endmacro %}

{# The tables that Spark built: DBT_SPARK_TABLES has, as JSON by table, the `files`, and whether folders
   give the month. A table by months that has no rows has no files. #}
{% macro duckdb__take_sources() -%}
    {#- Not what is a view here: dbt makes it of the tables. -#}
    {%- set views = [] -%}
    {%- for node in graph.nodes.values() if node.config.materialized == 'view' -%}
        {%- do views.append(node.schema ~ '.' ~ node.alias) -%}
    {%- endfor -%}
    {%- for table, kept in fromjson(env_var('DBT_SPARK_TABLES', '{}')).items() if table not in views -%}
        {%- set query -%}
            {%- if kept['files'] -%}
                from read_parquet(
                    '{{ kept['files'] | replace("'", "''") }}',
                    hive_partitioning = {{ kept['by_month'] | lower }}
                    {{- ", hive_types = {'month': date}" if kept['by_month'] }}
                )
            {%- else -%}
                select
                {%- for node in graph.nodes.values() if node.schema ~ '.' ~ node.alias == table %}
                {%- for column in node.columns.values() if column.data_type %}
                    null::{{ column.data_type }} as {{ column.name }},
                {%- endfor %}
                {%- endfor %}
                where false
            {%- endif -%}
        {%- endset -%}
        {%- do run_query('create schema if not exists ' ~ table.split('.')[0]) -%}
        {%- do run_query('create or replace view ' ~ table ~ ' as ' ~ query) -%}
        {%- do run_query('comment on view ' ~ table ~ " is 'a table of Spark'") -%}
    {%- endfor -%}
{%- endmacro %}

{# Landed records and the tables of Python: DBT_SPARK_SOURCES has, as JSON by table, the `files` and, of
   landed months, the `column` that must not be after the as-of date. #}
{% macro spark__take_sources() -%}
    {%- for table, source in fromjson(env_var('DBT_SPARK_SOURCES', '{}')).items() -%}
        {%- set until = ' where ' ~ source['column'] ~ ' <= (select as_of from landing.refresh_window)' -%}
        {%- do run_query('create schema if not exists ' ~ table.split('.')[0]) -%}
        {%- do run_query(
            'create or replace view ' ~ table ~ ' as select * from parquet.`' ~ source['files'] ~ '`'
            ~ (until if source['column'])
        ) -%}
    {%- endfor -%}
{%- endmacro %}
