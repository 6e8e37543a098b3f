{# Exact amounts. A division of decimals is a DOUBLE in DuckDB and a rounded decimal in Spark, so cents
   are divided as integers, and every division rounds half away from zero. #}

{# The type of whole numbers up to 38 digits. #}
{% macro whole_type() -%}
    {{ return(adapter.dispatch('whole_type')()) }}
{%- endmacro %}

{% macro duckdb__whole_type() %}{{ return('hugeint') }}{% endmacro %}
{% macro spark__whole_type() %}{{ return('decimal(38, 0)') }}{% endmacro %}

{# Whole units of 10^-digits of a decimal, exactly. #}
{% macro units(amount, digits=2) -%}
    cast(({{ amount }}) * {{ 10 ** digits }} as {{ whole_type() }})
{%- endmacro %}

{# Quotient of two whole numbers without the remainder, toward zero. #}
{% macro whole_share(units, parts) -%}
    {{ return(adapter.dispatch('whole_share')(units, parts)) }}
{%- endmacro %}

{% macro duckdb__whole_share(units, parts) -%}
    (({{ units }}) // ({{ parts }}))
{%- endmacro %}

{# What `div` gives is a BIGINT, and a larger quotient wraps around silently: a decimal that the divisor
   divides is divided exactly, and too large a one is an error. #}
{% macro spark__whole_share(units, parts) -%}
    cast(
        (cast({{ units }} as decimal(38, 0)) - cast({{ units }} as decimal(38, 0)) % ({{ parts }}))
        / cast({{ parts }} as decimal(38, 0))
        as decimal(38, 0)
    )
{%- endmacro %}

{# The same of numbers that may need more than 18 digits and mostly do not: DuckDB divides those that fit
   eight bytes eight times as fast. #}
{% macro large_share(units, parts) -%}
    {{ return(adapter.dispatch('large_share')(units, parts)) }}
{%- endmacro %}

{% macro duckdb__large_share(units, parts) -%}
    coalesce(
        cast(try_cast({{ units }} as bigint) // try_cast({{ parts }} as bigint) as hugeint),
        ({{ units }}) // ({{ parts }})
    )
{%- endmacro %}

{% macro spark__large_share(units, parts) -%}
    {{ spark__whole_share(units, parts) }}
{%- endmacro %}

{# -1 of a negative number, otherwise 1; an integer, as a sign is a DOUBLE in Spark. #}
{% macro direction(number) -%}
    case when {{ number }} < 0 then -1 else 1 end
{%- endmacro %}

{# Integer quotient, rounded half away from zero; the divisor is positive. #}
{% macro divide_units(dividend, divisor) -%}
    (
        {{ direction(dividend) }}
        * {{ large_share('2 * abs(' ~ dividend ~ ') + ' ~ divisor, '2 * ' ~ divisor) }}
    )
{%- endmacro %}

{# An amount from whole cents. #}
{% macro from_cents(cents) -%}
    cast(cast({{ cents }} as decimal(18, 0)) * cast(0.01 as decimal(3, 2)) as decimal(18, 2))
{%- endmacro %}

{# A decimal of more places rounded to cents, half away from zero. #}
{% macro to_money(amount) -%}
    cast(round({{ amount }}, 2) as decimal(18, 2))
{%- endmacro %}

{# The share of one of `holders` equal holders, numbered from 1.

   Largest remainder: the shares of equal holders leave equal remainders, so each of the first holders
   gets one of the remaining cents; the shares sum to the amount exactly. A negative amount mirrors a
   positive one. #}
{% macro equal_share(amount, holders, holder) -%}
    {%- set cents = 'cast(' ~ amount ~ ' * 100 as bigint)' -%}
    case
        when {{ holders }} = 1 then {{ amount }}
        else {{ from_cents(
            direction(cents) ~ ' * (' ~ whole_share('abs(' ~ cents ~ ')', holders)
            ~ ' + case when ' ~ holder ~ ' <= abs(' ~ cents ~ ') % ' ~ holders
            ~ ' then 1 else 0 end)'
        ) }}
    end
{%- endmacro %}

{# The share of a party with `units` of `all_units` of an amount that the rows of `whole` divide.

   Largest remainder: whole cents first, then one cent each to the largest remainders, of equal ones
   in the order of `party`; a negative amount mirrors a positive one. #}
{% macro share_of_units(amount, units, all_units, whole, party) -%}
    {%- set cents = 'cast(' ~ amount ~ ' * 100 as ' ~ whole_type() ~ ')' -%}
    {%- set dividend = 'abs(' ~ cents ~ ') * ' ~ units -%}
    {%- set share = large_share(dividend, all_units) -%}
    {%- set rest = dividend ~ ' - ' ~ share ~ ' * ' ~ all_units -%}
    {{ from_cents(
        direction(cents) ~ ' * (' ~ share
        ~ ' + case when row_number() over (partition by ' ~ whole ~ ' order by ' ~ rest
        ~ ' desc, ' ~ party ~ ' asc) <= abs(' ~ cents ~ ') - sum(' ~ share
        ~ ') over (partition by ' ~ whole ~ ') then 1 else 0 end)'
    ) }}
{%- endmacro %}

{# Amounts of four places whose sum over `whole` has two, in cents: rounded down, then one cent more
   each to the largest remainders, of equal ones in the order of `part`. #}
{% macro cents_of_parts(amount, whole, part) -%}
    {%- set exact = units(amount, 4) -%}
    {%- set rest = '((' ~ exact ~ ' % 100 + 100) % 100)' -%}
    {{ from_cents(
        whole_share(exact ~ ' - ' ~ rest, '100') ~ ' + case when 100 * row_number() over (partition by '
        ~ whole ~ ' order by ' ~ rest ~ ' desc, ' ~ part ~ ' asc) <= sum(' ~ rest
        ~ ') over (partition by ' ~ whole ~ ') then 1 else 0 end'
    ) }}
{%- endmacro %}

{# A yearly rate from whole millionths. #}
{% macro from_millionths(millionths, precision=9) -%}
    cast(
        cast({{ millionths }} as decimal(18, 0)) * cast(0.000001 as decimal(7, 6))
        as decimal({{ precision }}, 6)
    )
{%- endmacro %}

{# The part of a month's amount that belongs to the first `days` of `all_days`, rounded half away from
   zero; the rest belongs to the days after. Of two parts that is the largest remainder. #}
{% macro share_of_days(amount, days, all_days) -%}
    {{ from_cents(divide_units(units(amount) ~ ' * ' ~ days, all_days)) }}
{%- endmacro %}
