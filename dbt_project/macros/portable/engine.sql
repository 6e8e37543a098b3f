{# Limits of the engine on this machine. They are set when a run starts and not in the profile: dbt
   parses the whole project again if a value of the profile changes, and the free memory always differs. #}
{% macro limit_engine() -%}
    {%- if execute -%}{{ return(adapter.dispatch('limit_engine')()) }}{%- endif -%}
{%- endmacro %}

{% macro duckdb__limit_engine() -%}
    {%- set spill = env_var('DBT_TEMP_DIRECTORY', env_var('DBT_WAREHOUSE') ~ '.tmp') -%}
    set memory_limit = '{{ env_var('DBT_MEMORY_LIMIT', '1GB') }}';
    set threads = {{ env_var('DBT_DUCKDB_THREADS', '2') }};
    set temp_directory = '{{ spill | replace("'", "''") }}'
{%- endmacro %}
