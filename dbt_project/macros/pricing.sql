{# What a deal must earn: shared by decisions.price_floor and `jingxi price`. #}

{# A monthly amount as a yearly rate on a volume, to a millionth; both may be sums over the same
   number of months. #}
{% macro per_volume(amount, volume) -%}
    {{ from_millionths(divide_units(
        units(amount, 6) ~ ' * 12000000', units(volume, 6)
    ), 18) }}
{%- endmacro %}

{# The highest rate of a deposit, or the lowest of a loan, that still earns the hurdle: the rate
   alone, without the fees that come in beside it. #}
{% macro rate_floor(is_deposit, transfer_price, cost, loss, capital) -%}
    case
        when {{ is_deposit }}
            then {{ transfer_price }} - {{ cost }} - {{ loss }} - {{ capital }}
        else {{ transfer_price }} + {{ cost }} + {{ loss }} + {{ capital }}
    end
{%- endmacro %}
