{{ config(meta={'dagster': {'ref': {'name': 'value_account_month'}}}) }}
-- A case that is missing would be valued at 0, a case that is there twice would count twice.
-- depends_on: {{ ref('value_account_month') }}
with product_line as (
    {%- for line in product_lines() %}
    select '{{ line }}' as product_line
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

band as (
    select
        days_past_due_from,
        days_past_due_to,
        lag(days_past_due_to) over (order by days_past_due_from) as previous_to,
        row_number() over (order by days_past_due_from) as place,
        count(*) over () as bands
    from {{ ref('risk_rating') }}
),

complaint as (
    select 'transfer_price has no price from the beginning: ' || product_line.product_line as what
    from product_line
    left join {{ ref('transfer_price') }} as price
        on
            product_line.product_line = price.product_line
            and price.term_months_from = 0
            and price.effective_from <= date '1900-01-01'
    where price.product_line is null
    union all
    select 'transfer_price holds twice: ' || product_line
    from {{ ref('transfer_price') }}
    group by product_line, term_months_from, effective_from
    having count(*) > 1
    {%- for seed in ['account_maintenance_cost', 'loss_given_default'] %}
    union all
    select '{{ seed }} needs one row: ' || product_line.product_line
    from product_line
    left join {{ ref(seed) }} as given on product_line.product_line = given.product_line
    group by product_line.product_line
    having count(given.product_line) <> 1
    {%- endfor %}
    union all
    select 'activity_unit_cost needs one row for all kinds: ' || channel
    from {{ ref('activity_unit_cost') }}
    group by channel
    having sum(case when kind = '*' then 1 else 0 end) <> 1
    union all
    select 'activity_unit_cost holds twice: ' || channel || ', ' || kind
    from {{ ref('activity_unit_cost') }}
    group by channel, kind
    having count(*) > 1
    union all
    select 'risk_rating leaves a gap or overlaps'
    from band
    where
        (place = 1 and days_past_due_from <> 0)
        or (place > 1 and days_past_due_from is distinct from previous_to + 1)
        or (place < bands and days_past_due_to is null)
        or (place = bands and days_past_due_to is not null)
)

select what from complaint
