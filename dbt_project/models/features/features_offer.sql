{#- The linter loses the indentation of what a macro writes. -#}
-- sqlfluff:exclude_rules:LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

offered as (
    select
        product_id,
        max(product_line) as product_line
    from {{ ref('base_campaign_contact') }}
    where product_id is not null
    group by product_id
),

offer as (
    select
        product_id,
        product_line,
        true as is_offered
    from offered
    union all
    select
        product.product_id,
        product.product_line,
        false as is_offered
    from {{ ref('base_product') }} as product
    left join offered on product.product_id = offered.product_id
    where offered.product_id is null
),

asked as (
    select
        offer.product_id,
        offer.product_line,
        offer.is_offered,
        run.as_of as asked_on,
        run.as_of_month as market_month
    from offer
    cross join run
),

context as (
    with {{ with_offer_context('asked') }}
)

select
    product_id,
    product_line,
    is_offered,
    {%- for column in offer_context() %}
    {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from context
