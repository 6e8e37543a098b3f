{# What the models of abnormal transactions share: which bookings are judged, the days that are kept,
   and how rare a burst is. #}

{# Months of habits before the as-of month; and those in which a counterparty or channel was seen. #}
{% macro profile_months() %}{{ return(12) }}{% endmacro %}
{% macro memory_months() %}{{ return(24) }}{% endmacro %}

{# Smallest standard deviation of the log amount; that of a normal distribution over its median
   absolute deviation. #}
{% macro least_scale() %}{{ return(0.25) }}{% endmacro %}
{% macro normal_deviation() %}{{ return(1.4826) }}{% endmacro %}

{# Not judged: the bank's own bookings, what goes to a customer's own debts and investments here, and
   standing instructions. #}
{% macro is_judged_booking(booking) -%}
    {%- set groups = booking_groups() -%}
    {{ booking }}.kind not in {{ quoted_list(
        groups['charge'] + groups['credit'] + groups['investment'] + groups['income']
    ) }}
    and coalesce({{ booking }}.channel, '(none)') not in ('system', 'standing_order')
    and {{ booking }}.amount <> 0
{%- endmacro %}

{# Whether a date's month is one of the months of habits. #}
{% macro in_profile(month) -%}
    {{ month }} >= {{ months_later('run.as_of_month', -profile_months()) }}
    and {{ month }} < run.as_of_month
{%- endmacro %}

{# Days that are kept: all of the as-of month, and of those before the ones that the sample takes by
   their hash. #}
{% macro is_kept_day(day, sample) -%}
    (
        {{ day }}.month = run.as_of_month
        or {{ hashed([day ~ '.customer_id', day ~ '.booked_on']) }} % 1000000
        < {{ sample }}.share * 1000000
    )
{%- endmacro %}

{# -ln of the probability of so many bookings in so many days, less that of a single one.

   Predictive distribution of a Poisson count whose rate has a gamma posterior (shape, exposure):
   negative binomial. Zero where there are no more than the rate leads to expect. #}
{% macro count_surprise(bookings, days) -%}
    case
        when {{ bookings }} > greatest(1, shape * {{ days }} / exposure)
            then
                {{ log_gamma('shape + 1') }}
                + {{ log_gamma(bookings ~ ' + 1') }}
                - {{ log_gamma(bookings ~ ' + shape') }}
                - ({{ bookings }} - 1) * ln({{ days }} / (exposure + {{ days }}))
        else 0
    end
{%- endmacro %}
