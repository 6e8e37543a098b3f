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
