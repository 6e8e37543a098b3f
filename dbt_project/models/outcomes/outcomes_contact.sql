{#- The linter loses the indentation of what a macro writes. -#}
-- sqlfluff:exclude_rules:LT02
with contact as (
    select
        *,
        {{ months_later('month', -1) }} as features_month
    from {{ ref('base_campaign_contact') }}
    where is_response_complete and not {{ is_erased('customer_id') }}
),

asked as (
    select distinct
        product_id,
        product_line,
        contacted_on as asked_on,
        features_month as market_month
    from contact
),

context as (
    with {{ with_offer_context('asked') }}
)

select
    contact.contact_id,
    contact.customer_id,
    contact.arm,
    contact.assignment_probability,
    contact.contacted_on,
    cast(contact.contacted_on + {{ response_days() }} as date) as matured_on,
    contact.features_month,
    contact.product_id,
    contact.product_line,
    contact.is_responded,
    {%- for column in offer_context() %}
    context.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from contact
inner join context
    on
        contact.product_id is not distinct from context.product_id
        and contact.product_line is not distinct from context.product_line
        and contact.contacted_on = context.asked_on
        and contact.features_month = context.market_month
