{{ config(materialized='table') }}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:LT02,ST06,RF04
with product as (
    {{ held_products() }}
),

version_month as (
    select distinct effective_from as month from {{ ref('transfer_premium') }}
),

in_force as (
    select * from {{ in_force_by_product(ref('transfer_premium'), 'version_month', 'product') }}
        as in_force
),

point as (
    select
        for_product_id as product_id,
        month as effective_from,
        tenor_months,
        lag(tenor_months) over by_tenor as previous_tenor,
        lead(tenor_months) over by_tenor as next_tenor,
        {%- for part in premium_parts() %}
        {{ units(part, 6) }} as {{ part }},
        lead({{ units(part, 6) }}) over by_tenor as next_{{ part }},
        {%- endfor %}
        -- Money for a longer time than the last point's is still dearer than for the time of the
        -- point: the last slope goes on.
        greatest({{ units('liquidity_premium', 6) }} - lag({{ units('liquidity_premium', 6) }})
            over by_tenor, 0) as last_rise
    from in_force
    window by_tenor as (partition by for_product_id, month order by tenor_months)
),

version as (
    select
        product_id,
        effective_from,
        lead(effective_from) over (
            partition by product_id order by effective_from
        ) as effective_to
    from point
    group by product_id, effective_from
),

tenor as (
    select distinct tenor_months from {{ ref('value_transfer_curve') }}
)

select
    version.product_id,
    version.effective_from,
    version.effective_to,
    tenor.tenor_months,
    {%- for part in premium_parts() %}
    {{ from_millionths(
        'case when tenor.tenor_months <= point.tenor_months then point.' ~ part
        ~ ' when point.next_tenor is not null then '
        ~ divide_units(
            '(point.' ~ part ~ ' * (point.next_tenor - tenor.tenor_months) + point.next_' ~ part
            ~ ' * (tenor.tenor_months - point.tenor_months))',
            '(point.next_tenor - point.tenor_months)'
        )
        ~ (' when point.previous_tenor is not null then point.liquidity_premium + '
            ~ divide_units(
                '(point.last_rise * (tenor.tenor_months - point.tenor_months))',
                '(point.tenor_months - point.previous_tenor)'
            ) if part == 'liquidity_premium' else '')
        ~ ' else point.' ~ part ~ ' end'
    ) }} as {{ part }}{{ "," if not loop.last }}
    {%- endfor %}
from version
cross join tenor
inner join point
    on
        version.product_id = point.product_id
        and version.effective_from = point.effective_from
        and (tenor.tenor_months >= point.tenor_months or point.previous_tenor is null)
        and (tenor.tenor_months < point.next_tenor or point.next_tenor is null)
