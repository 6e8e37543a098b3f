{{ config(materialized='table') }}

select
    portfolio,
    month,
    {{ from_millionths(divide_units(
        'sum(' ~ units('weight', 6) ~ ' * ' ~ units('mean_rate', 10) ~ ')', '10000000000'
    )) }} as annual_rate
from {{ ref('value_transfer_tranche') }}
group by portfolio, month
