{# Statistical functions that engines spell differently or lack. #}

{# Median of the absolute deviations from the median. #}
{% macro median_deviation(value) -%}
    {{ return(adapter.dispatch('median_deviation')(value)) }}
{%- endmacro %}

{% macro duckdb__median_deviation(value) -%}
    mad({{ value }})
{%- endmacro %}

{# Natural logarithm of the gamma function. #}
{% macro log_gamma(value) -%}
    {{ return(adapter.dispatch('log_gamma')(value)) }}
{%- endmacro %}

{% macro duckdb__log_gamma(value) -%}
    lgamma({{ value }})
{%- endmacro %}
