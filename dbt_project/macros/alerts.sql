{# Shared by the models of abnormal transactions: the bookings that are judged, the days that are
   sampled, and the surprise of a burst. #}

{# Months of habits before the as-of month; months over which counterparties and channels are known. #}
{% macro profile_months() %}{{ return(12) }}{% endmacro %}
{% macro memory_months() %}{{ return(24) }}{% endmacro %}

{# Smallest standard deviation of the log amount; ratio of the standard deviation of a normal
   distribution to its median absolute deviation. #}
{% macro least_scale() %}{{ return(0.25) }}{% endmacro %}
{% macro normal_deviation() %}{{ return(1.4826) }}{% endmacro %}

{# Not judged: the bank's own bookings, payments to the customer's own loans and investments at the
   bank, and standing orders. #}
{% macro is_judged_booking(booking) -%}
    {%- set groups = booking_groups() -%}
    {{ booking }}.kind not in {{ quoted_list(
        groups['charge'] + groups['credit'] + groups['investment'] + groups['income']
    ) }}
    and coalesce({{ booking }}.channel, '(none)') not in ('system', 'standing_order')
    and {{ booking }}.amount <> 0
{%- endmacro %}

{# Whether the month of a date is one of the months of habits. #}
{% macro in_profile(month) -%}
    {{ month }} >= {{ months_later('run.as_of_month', -profile_months()) }}
    and {{ month }} < run.as_of_month
{%- endmacro %}

{# Days that are kept: all days of the as-of month, and a sample of the days before, selected by
   hash. #}
{% macro is_kept_day(day, sample) -%}
    (
        {{ day }}.month = run.as_of_month
        or {{ drawn_from(day ~ ".customer_id || ' ' || " ~ day ~ '.booked_on') }} < {{ sample }}.share
    )
{%- endmacro %}

{# -ln of the probability of a number of bookings in a number of days, less that of a single booking.

   Predictive distribution of a Poisson count whose rate has a gamma posterior (shape, exposure):
   negative binomial. Zero if there are no more bookings than the rate predicts. #}
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
