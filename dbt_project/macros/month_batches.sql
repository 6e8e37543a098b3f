{# A table that reads many months is filled in parts if the whole needs more memory than the engine
   has: DBT_MONTHS_AT_ONCE, 0 for all. Each part runs the model's query,

   - over a narrower window: the result for a window of months does not depend on the months built
     before;
   - or, if each part would read the preceding months again, for a part of the customers, which the
     query selects with `in_part`. This also applies to plain tables that read many months (meta
     `reads_months`).

   The union of the parts is the whole table. #}
{% macro duckdb__create_table_as(
    temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none
) -%}
    {%- set parts = [compiled_code] -%}
    {%- set meta = config.get('meta', {}) -%}
    {#- The strategy is set by folder; a plain table is not built by months. -#}
    {%- set by_months = config.get('materialized') == 'incremental' -%}
    {%- if execute and (meta.get('reads_months') or by_months and meta.get('looks_back_months')) -%}
        {%- set parts = customer_parts(compiled_code) -%}
    {%- elif execute and by_months -%}
        {%- set parts = month_parts(compiled_code) -%}
    {%- endif -%}
    {{ dbt.duckdb__create_table_as(
        temporary, relation, parts[0], language, partitioned_by, sorted_by
    ) }}
    {%- for part in parts[1:] %}
    ;
    insert into {{ relation.include(database=(not temporary), schema=(not temporary)) }}
    {{ get_column_names() }}
    {{ get_select_subquery(part) }}
    {%- endfor %}
{%- endmacro %}

{# The query over each part of the refresh window, or the query itself if there is one part. #}
{% macro month_parts(compiled_code) %}
    {%- set at_once = env_var('DBT_MONTHS_AT_ONCE', '0') | int -%}
    {%- set window = model.refs | selectattr('name', 'equalto', 'base_refresh_window') | list -%}
    {%- if not at_once or not window -%}
        {{ return([compiled_code]) }}
    {%- endif -%}
    {%- set run = ref('base_refresh_window') | string -%}
    {%- set found = run_query(
        'select cast(first as date), cast(least(first + to_months(' ~ (at_once - 1) ~ '), month_to) '
        ~ 'as date) from (select unnest(generate_series(month_from, month_to, to_months('
        ~ at_once ~ '))) as first, month_to from ' ~ run ~ ') order by 1'
    ) -%}
    {%- if found.rows | length < 2 -%}
        {{ return([compiled_code]) }}
    {%- endif -%}
    {%- set parts = [] -%}
    {%- for first, last in found.rows -%}
        {%- do parts.append(compiled_code | replace(
            run,
            "(select * replace (date '" ~ first ~ "' as month_from, date '" ~ last
            ~ "' as month_to) from " ~ run ~ ')'
        )) -%}
    {%- endfor -%}
    {{ return(parts) }}
{% endmacro %}

{# Whether a customer belongs to the part being built; always true if there is one part. #}
{% macro in_part(customer_id) -%}
    true /* in part: {{ customer_id }} */
{%- endmacro %}

{# The query of each part of the customers, or the query itself if there is one part. The number of
   parts follows from the months that the model reads (reads_months; or the window and the months
   before it) and from the size of its rows relative to a row of accounts. #}
{% macro customer_parts(compiled_code) %}
    {%- set at_once = env_var('DBT_MONTHS_AT_ONCE', '0') | int -%}
    {%- if not at_once -%}
        {{ return([compiled_code]) }}
    {%- endif -%}
    {%- set meta = config.get('meta') -%}
    {%- set months = meta.get('reads_months') or run_query(
        "select date_diff('month', month_from, month_to) + 1 + " ~ meta['looks_back_months']
        ~ ' from ' ~ ref('base_refresh_window')
    ).rows[0][0] -%}
    {%- set count = (months * meta['memory_of_account_months'] / at_once)
        | round(0, 'ceil') | int -%}
    {%- set parts = [] -%}
    {%- for number in range(count) -%}
        {%- do parts.append(modules.re.sub(
            'true /\\* in part: (.+?) \\*/',
            'hash(\\1) % ' ~ count ~ ' = ' ~ number,
            compiled_code
        )) -%}
    {%- endfor -%}
    {{ return(parts if count > 1 else [compiled_code]) }}
{% endmacro %}
