{# An amount in the bank's currency: `rate` is one of a row of base_account_rate that is joined as
   `rates`, of which accounts in the bank's currency have none. #}
{% macro translated(amount, rate, rates='fx', key='account_id') -%}
    case
        when {{ rates }}.{{ key }} is null then cast({{ amount }} as decimal(18, 2))
        else {{ from_cents(divide_units(
            '(' ~ units(amount) ~ ' * ' ~ units(rates ~ '.' ~ rate, 8) ~ ')', '100000000'
        )) }}
    end
{%- endmacro %}
