with run as (
    select * from {{ ref('base_refresh_window') }}
),

contact as (
    select * from {{ ref('stg_contact') }}
),

campaign as (
    select * from {{ latest_extract(ref('stg_campaign')) }} as latest
),

response as (
    select * from {{ ref('stg_response') }}
),

answer as (
    select
        contact.contact_id,
        min(response.responded_on) as responded_on,
        min_by(response.account_id, response.responded_on) as responded_account_id
    from contact
    inner join response
        on
            contact.campaign_id = response.campaign_id
            and contact.customer_id = response.customer_id
            and contact.contacted_on <= response.responded_on
            and {{ days_from_to('contact.contacted_on', 'response.responded_on') }}
            <= {{ response_days() }}
    group by contact.contact_id
)

select
    contact.contact_id,
    contact.campaign_id,
    campaign.campaign_name,
    campaign.product_id,
    product.product_line,
    campaign.channel,
    contact.customer_id,
    contact.employee_id,
    contact.contacted_on,
    contact.month,
    contact.arm,
    contact.assignment_probability,
    campaign.cost_per_contact,
    campaign.incentive_cost,
    answer.contact_id is not null as is_responded,
    answer.responded_on,
    answer.responded_account_id,
    {{ days_from_to('contact.contacted_on', 'run.as_of') }} >= {{ response_days() }}
        as is_response_complete
from contact
inner join campaign on contact.campaign_id = campaign.campaign_id
left join {{ latest_extract(ref('stg_product')) }} as product
    on campaign.product_id = product.product_id
cross join run
left join answer on contact.contact_id = answer.contact_id
