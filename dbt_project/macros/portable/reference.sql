{# The bank's own reference data replace the default rows of a seed. #}

{# A statement that loads the file of the seed's name from the folder DBT_REFERENCE, if it is among
   those that DBT_REFERENCE_SEEDS lists; nothing otherwise. #}
{% macro own_reference_data(seed) -%}
    {%- if seed.identifier in env_var('DBT_REFERENCE_SEEDS', '').split(',') -%}
        {{ return(adapter.dispatch('own_reference_data')(seed, env_var('DBT_REFERENCE'))) }}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__own_reference_data(seed, folder) -%}
    delete from {{ seed }};
    copy {{ seed }} from '{{ (folder ~ '/' ~ seed.identifier ~ '.csv') | replace("'", "''") }}'
    (format csv, header true, nullstr '')
{%- endmacro %}

{% macro spark__own_reference_data(seed, folder) -%}
    {%- set columns = adapter.get_columns_in_relation(seed) -%}
    {%- do run_query(
        "create or replace temporary view own_" ~ seed.identifier ~ " using csv options (path '"
        ~ (folder ~ '/' ~ seed.identifier ~ '.csv') | replace("'", "\\'")
        ~ "', header 'true', escape '\"', multiLine 'true')"
    ) -%}
    insert overwrite {{ seed }}
    select
        {%- for column in columns %}
        cast({{ column.name }} as {{ column.dtype }}){{ ',' if not loop.last }}
        {%- endfor %}
    from own_{{ seed.identifier }}
{%- endmacro %}

{# dbt-spark's own writes the text None for an empty value, and a quotation mark ends a text. #}
{% macro spark__load_csv_rows(model, agate_table) -%}
    {%- set types = model['config']['column_types'] -%}
    {%- set statement -%}
        insert into {{ this }} values
        {%- for row in agate_table.rows %}
        (
            {%- for value in row -%}
            {%- set text = 'null' if value is none else "'" ~ (
                value | string | replace('\\', '\\\\') | replace("'", "\\'")
            ) ~ "'" -%}
            {{ spark__cast(text, types[agate_table.column_names[loop.index0]]) }}
            {{- ', ' if not loop.last }}
            {%- endfor -%}
        ){{ ',' if not loop.last }}
        {%- endfor %}
    {%- endset -%}
    {%- if agate_table.rows | length -%}
        {%- do run_query(statement) -%}
    {%- endif -%}
    {{ return(statement) }}
{%- endmacro %}

{% macro spark__create_csv_table(model, agate_table) -%}
    {%- set types = model['config']['column_types'] -%}
    {%- set statement -%}
        create table {{ this }} using parquet as select
        {%- for name in agate_table.column_names %}
        {{ spark__cast('null', types[name]) }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
        where false
    {%- endset -%}
    {%- do run_query(statement) -%}
    {{ return(statement) }}
{%- endmacro %}
