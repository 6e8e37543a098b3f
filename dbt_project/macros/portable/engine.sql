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

{# dbt-spark switches ANSI off for every statement, and an amount that does not fit would then be empty
   instead of an error. The cluster's own configuration limits memory. #}
{% macro spark__limit_engine() -%}
    {%- do adapter.config.credentials.server_side_parameters.update({'spark.sql.ansi.enabled': 'true'}) -%}
{%- endmacro %}

{# The versions of the engine for `meta.engine`, which only the engine itself knows on a cluster. #}
{% macro name_engine() -%}
    {%- if execute -%}{{ return(adapter.dispatch('name_engine')()) }}{%- endif -%}
{%- endmacro %}

{% macro duckdb__name_engine() %}{% endmacro %}

{% macro spark__name_engine() -%}
    insert overwrite directory '{{ env_var('DBT_SPARK_SESSION') }}' using parquet
    select
        split(version(), ' ')[0] as engine_version,
        java_method('java.lang.System', 'getProperty', 'java.version') as java_version
{%- endmacro %}

{# A text has no length: Spark's name for the type of a contract's or a seed's column. #}
{% macro spark__cast(field, type) -%}
    cast({{ field }} as {{ 'string' if type | lower == 'varchar' else type }})
{%- endmacro %}
