{# The columns that count bookings by channel and by group. #}
{% macro channel_counts() %}
    {%- set columns = [] -%}
    {%- for channel in booking_channels() + ['no_channel'] -%}
        {%- do columns.append('bookings_' ~ channel) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}

{% macro group_counts() %}
    {%- set columns = [] -%}
    {%- for group in booking_groups() -%}
        {%- do columns.append('bookings_' ~ group) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}

{# Sum of the balances of a customer on several product lines. #}
{% macro balance_of(relation, lines) -%}
    {%- for line in lines -%}
        {{ relation }}.balance_{{ line }}{{ ' + ' if not loop.last }}
    {%- else -%}
        0
    {%- endfor -%}
{%- endmacro %}

{% macro quoted_list(names) -%}
    ('{{ names | join("', '") }}')
{%- endmacro %}

{# The measures of a manager's targets (decisions_manager_kpi, seed manager_kpi). #}
{% macro kpi_measures() %}
    {{ return([
        'credited_profit', 'growth', 'coverage', 'conversion', 'complaints', 'early_defaults',
    ]) }}
{% endmacro %}
