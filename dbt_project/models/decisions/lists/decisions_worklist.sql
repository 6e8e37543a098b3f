with contact as (
    select *
    from {{ ref('decisions_contact') }}
    where needs_person
),

product as (
    select distinct
        holder.customer_id,
        coalesce(account.product_name, account.product_id) as product_name
    from {{ ref('base_account_holder') }} as holder
    inner join {{ ref('base_account') }} as account on holder.account_id = account.account_id
    where holder.is_beneficial and account.is_open
),

held as (
    select
        customer_id,
        {{ joined_text('product_name', ', ', 'product_name') }} as products_held
    from product
    group by customer_id
)

select
    contact.unit,
    cast(
        row_number() over (
            partition by contact.unit
            order by
                contact.expected_incremental_profit desc,
                contact.customer_id asc,
                contact.product_id asc
        ) as integer
    ) as unit_rank,
    contact.customer_id,
    contact.product_id,
    coalesce(offer.product_name, contact.product_id) as product_name,
    contact.product_line,
    contact.channel,
    contact.best_channel,
    contact.campaign_id,
    contact.employee_id,
    contact.branch_id,
    contact.expected_incremental_profit,
    contact.product_value,
    contact.clv_12m,
    nullif(contact.value_tier, '') as value_tier,
    nullif(contact.segment_name, {{ nobody() }}) as segment_name,
    held.products_held,
    coalesce(explained.reason, 'chosen for its expected profit') as reason,
    point.talking_points,
    point.talking_points_zh,
    contact.expires_on,
    'open' as status
from contact
left join {{ ref('value_offer') }} as offer on contact.product_id = offer.product_id
left join held on contact.customer_id = held.customer_id
left join {{ source('decisions', 'contact_reason') }} as explained
    on contact.customer_id = explained.customer_id and contact.product_id = explained.product_id
left join {{ ref('decisions_talking_point') }} as point
    on
        contact.product_line = point.product_line
        and contact.segment_name = point.segment_name
        and contact.value_tier = point.value_tier
