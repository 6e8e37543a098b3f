{# A table that is built by months is filled in parts, where all at once would need more memory than
   the engine has: DBT_MONTHS_AT_ONCE, 0 for all. Each part is the model's own query,

   - over a narrower window: what it makes of a window of months does not depend on the months built
     before;
   - or, where it looks back and each part would read the months before again, of some of the
     customers only, whom it names with `in_part`.

   The parts together are the whole. #}
{% macro duckdb__create_table_as(
    temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none
) -%}
    {%- set parts = [compiled_code] -%}
    {#- The strategy is set for whole folders; a plain table is not one by months. -#}
    {%- if execute and config.get('materialized') == 'incremental' -%}
        {%- set parts = (
            customer_parts(compiled_code) if config.get('meta', {}).get('looks_back_months')
            else month_parts(compiled_code)
        ) -%}
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

{# The query over each part of the refresh window, or itself where that is one part. #}
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

{# Whether a customer belongs to the part that is built; all do where there is one part only. #}
{% macro in_part(customer_id) -%}
    true /* in part: {{ customer_id }} */
{%- endmacro %}

{# The query of each part of the customers, or itself where that is one part: as many parts as there
   would be of the window and the months before it that the model reads, times what a row of it takes
   beside one of accounts. #}
{% macro customer_parts(compiled_code) %}
    {%- set at_once = env_var('DBT_MONTHS_AT_ONCE', '0') | int -%}
    {%- if not at_once -%}
        {{ return([compiled_code]) }}
    {%- endif -%}
    {%- set found = run_query(
        "select cast(ceil((date_diff('month', month_from, month_to) + 1 + "
        ~ config.get('meta')['looks_back_months'] ~ ') * '
        ~ config.get('meta')['memory_of_account_months'] ~ ' / ' ~ at_once ~ ') as integer) from '
        ~ ref('base_refresh_window')
    ) -%}
    {%- set count = found.rows[0][0] -%}
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
