{# Statistical functions that engines spell differently or lack. #}

{# Median of the absolute deviations from the median. #}
{% macro median_deviation(value) -%}
    {{ return(adapter.dispatch('median_deviation')(value)) }}
{%- endmacro %}

{% macro duckdb__median_deviation(value) -%}
    mad({{ value }})
{%- endmacro %}

{# The array is bound to a name, so that it is sorted once. #}
{% macro spark__median_deviation(value) -%}
    transform(
        array(sort_array(collect_list({{ value }}))),
        of -> {{ middle_of('sort_array(transform(of, x -> abs(x - ' ~ middle_of('of') ~ ')))') }}
    )[0]
{%- endmacro %}

{# Median of a sorted array, empty of an empty one. #}
{% macro middle_of(sorted) -%}
    transform(
        array({{ sorted }}),
        s -> case
            when size(s) > 0 then (s[(size(s) - 1) div 2] + s[size(s) div 2]) / 2
        end
    )[0]
{%- endmacro %}

{# Natural logarithm of the gamma function. #}
{% macro log_gamma(value) -%}
    {{ return(adapter.dispatch('log_gamma')(value)) }}
{%- endmacro %}

{% macro duckdb__log_gamma(value) -%}
    lgamma({{ value }})
{%- endmacro %}

{# Stirling's series (Abramowitz and Stegun, 6.1.41) eight above the value, less the logarithms of the
   steps in between; the first term left out is below 1e-14. #}
{% macro spark__log_gamma(value) -%}
    transform(
        array(cast({{ value }} as double)),
        x -> (x + 7.5D) * ln(x + 8) - x - 8 + 0.9189385332046727D
        + 1 / (12 * (x + 8)) - 1 / (360 * power(x + 8, 3)) + 1 / (1260 * power(x + 8, 5))
        - 1 / (1680 * power(x + 8, 7)) + 1 / (1188 * power(x + 8, 9))
        - ln(x * (x + 1) * (x + 2) * (x + 3) * (x + 4) * (x + 5) * (x + 6) * (x + 7))
    )[0]
{%- endmacro %}
