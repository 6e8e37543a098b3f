{# How Spark keeps tables: as Parquet, with a folder for each month where dbt builds by months. #}

{% macro spark__file_format_clause() -%}
    using parquet
{%- endmacro %}

{% macro spark__partition_cols(label, required=false) -%}
    {%- if config.get('materialized') == 'incremental' -%}{{ label }} (month){%- endif -%}
{%- endmacro %}

{# Otherwise each task writes a file of its own into each month's folder. #}
{% macro gathered_by_month(columns, relation) -%}
    select /*+ rebalance(month) */ {{ columns }} from {{ relation }}
{%- endmacro %}

{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') -%}
    {%- if config.get('materialized') == 'incremental' and not temporary -%}
        {%- set compiled_code = gathered_by_month('*', '(' ~ compiled_code ~ ') as by_month') -%}
    {%- endif -%}
    {{ dbt.spark__create_table_as(temporary, relation, compiled_code, language) }}
{%- endmacro %}

{# The same as `month_window`: the months of the refresh window and those outside the history are
   dropped, as an overwrite keeps the months that the query no longer gives. #}
{% macro get_insert_overwrite_sql(source_relation, target_relation, existing_relation) %}
    {%- set columns = adapter.get_columns_in_relation(target_relation) -%}
    {%- set window = run_query(
        'select month_from, month_to, first_month, as_of_month from ' ~ ref('base_refresh_window')
    ).rows[0] | map('string') | list -%}
    {%- set stale = [] -%}
    {%- for row in run_query('show partitions ' ~ target_relation).rows -%}
        {%- set month = row[0].split('=')[1] -%}
        {%- if window[0] <= month <= window[1] or month < window[2] or month > window[3] -%}
            {%- do stale.append("partition (month = date '" ~ month ~ "')") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if stale -%}
        {%- do run_query('alter table ' ~ target_relation ~ ' drop if exists ' ~ stale | join(', ')) -%}
    {%- endif -%}
    insert overwrite table {{ target_relation }} partition (month)
    {{ gathered_by_month(columns | map(attribute='name') | join(', '), source_relation) }}
{% endmacro %}

{# Parquet keeps no constraints: columns that must not be empty are counted. #}
{% macro spark__persist_constraints(relation, model) -%}
    {%- set required = [] -%}
    {%- for column in model.columns.values() if 'not_null' in column.constraints | map(attribute='type') -%}
        {%- do required.append(column.name) -%}
    {%- endfor -%}
    {%- if config.get('contract').enforced and required -%}
        {%- set counts = run_query(
            'select count_if(' ~ required | join(' is null), count_if(') ~ ' is null) from ' ~ relation
        ).rows[0] -%}
        {%- for name, count in zip(required, counts) if count -%}
            {%- do exceptions.raise_compiler_error(
                relation ~ '.' ~ name ~ ' is invalid: expected a value in every row, found ' ~ count
                ~ ' rows without.'
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# Whether a table by months may be read while its months are replaced, in one part: only then do the
   rows that it has before the window stand for the whole time before it. #}
{% macro continues_itself() -%}
    {{ return(adapter.dispatch('continues_itself')()) }}
{%- endmacro %}

{% macro duckdb__continues_itself() -%}
    {%- set at_once = env_var('DBT_MONTHS_AT_ONCE', '0') | int -%}
    {%- if not execute or not at_once -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set months = run_query(
        "select date_diff('month', month_from, month_to) + 1 from " ~ ref('base_refresh_window')
    ).rows[0][0] -%}
    {{ return(months <= at_once) }}
{%- endmacro %}

{# Files that a statement reads cannot be overwritten by it. #}
{% macro spark__continues_itself() -%}
    {{ return(false) }}
{%- endmacro %}
