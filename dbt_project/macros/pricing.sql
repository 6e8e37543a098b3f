{# Transfer prices, and what a deal must earn: shared by value, decisions.price_floor and
   `jingxi price`. #}

{# The parts of a transfer price on top of the curve's rate, with their names in transfer_premium. #}
{% macro premium_parts() %}
    {{ return(['liquidity_premium', 'option_premium', 'policy_rate']) }}
{% endmacro %}

{# The tenor at which a term is priced. Money that is repaid in equal monthly instalments over `left`
   months, at a rate fixed for the first `fixed` of them, bears that rate for
   fixed x (2 x left - fixed + 1) / (2 x left) months on average; money repaid at once, for `fixed`. #}
{% macro rate_tenor(basis, fixed, left) -%}
    cast(
        case
            when {{ basis }} = 'average_life'
                then {{ divide_units(
                    '(' ~ fixed ~ ' * (2 * ' ~ left ~ ' - ' ~ fixed ~ ' + 1))',
                    '(2 * ' ~ left ~ ')'
                ) }}
            else {{ fixed }}
        end as integer
    )
{%- endmacro %}

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

{# The transfer price of the part of a volume that capital does not fund, per unit of the volume. #}
{% macro funding_rate(transfer_price, funded_share) -%}
    {{ from_millionths(divide_units(
        units(transfer_price, 6) ~ ' * (1000000 - ' ~ units(funded_share, 6) ~ ')', '1000000'
    )) }}
{%- endmacro %}
