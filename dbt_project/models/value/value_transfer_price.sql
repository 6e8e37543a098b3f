{{ config(materialized='table') }}

{%- set rates = {'mean_rate': 'base_rate'} -%}
{%- for part in premium_parts() -%}{%- do rates.update({'mean_' ~ part: part}) -%}{%- endfor -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:LT02
with part as (
    select
        product_id,
        currency,
        month,
        side,
        {%- for mean, rate in rates.items() %}
        {{ from_millionths(divide_units(
            'sum(' ~ units('weight', 6) ~ ' * ' ~ units(mean, 10) ~ ')', '10000000000'
        )) }} as {{ rate }}{{ "," if not loop.last }}
        {%- endfor %}
    from {{ ref('value_transfer_tranche') }}
    group by product_id, currency, month, side
)

select
    *,
    cast({{ rates.values() | join(' + ') }} as decimal(9, 6)) as annual_rate
from part
