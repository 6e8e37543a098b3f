with run as (
    select * from {{ ref('base_refresh_window') }}
),

contact as (
    select
        contact.*,
        run.as_of
    from {{ ref('base_campaign_contact') }} as contact
    cross join run
    where contact.contacted_on <= run.as_of
),

held as (
    select
        holder.customer_id,
        account.product_id,
        account.opened_on
    from {{ ref('base_account') }} as account
    inner join {{ ref('base_account_holder') }} as holder
        on account.account_id = holder.account_id
    where holder.is_beneficial
),

numbered as (
    select
        *,
        row_number() over (
            partition by campaign_id, customer_id order by contacted_on, contact_id
        ) as number,
        min(arm) over (partition by campaign_id, customer_id)
        <> max(arm) over (partition by campaign_id, customer_id) as is_in_both_arms
    from contact
),

-- Intention to treat: the first contact determines the arm.
assigned as (
    select
        *,
        {{ chance_of_treatment('arm', 'assignment_probability') }} as share
    from numbered
    where number = 1
),

contaminated as (
    select distinct assigned.contact_id
    from assigned
    inner join contact as other
        on
            assigned.customer_id = other.customer_id
            and assigned.product_id = other.product_id
            and assigned.contact_id <> other.contact_id
            and assigned.contacted_on <= other.contacted_on
            and {{ days_from_to('assigned.contacted_on', 'other.contacted_on') }}
            <= {{ response_days() }}
    where other.arm = 'treatment'
),

recorded as (
    select distinct assigned.contact_id
    from assigned
    inner join contact as answer
        on
            assigned.campaign_id = answer.campaign_id
            and assigned.customer_id = answer.customer_id
            and assigned.contacted_on <= answer.responded_on
            and assigned.as_of >= answer.responded_on
            and {{ days_from_to('assigned.contacted_on', 'answer.responded_on') }}
            <= {{ response_days() }}
),

opened as (
    select distinct assigned.contact_id
    from assigned
    inner join held
        on
            assigned.customer_id = held.customer_id
            and assigned.product_id = held.product_id
            and assigned.contacted_on <= held.opened_on
            and assigned.as_of >= held.opened_on
            and {{ days_from_to('assigned.contacted_on', 'held.opened_on') }}
            <= {{ response_days() }}
)

select
    assigned.campaign_id,
    assigned.customer_id,
    assigned.contact_id,
    assigned.product_id,
    assigned.contacted_on,
    assigned.month,
    assigned.arm,
    assigned.share,
    assigned.is_in_both_arms,
    contaminated.contact_id is not null as is_contaminated,
    recorded.contact_id is not null as is_recorded,
    recorded.contact_id is not null or opened.contact_id is not null as is_taken,
    {{ days_from_to('assigned.contacted_on', 'assigned.as_of') }} >= {{ response_days() }}
        as is_response_complete
from assigned
left join contaminated on assigned.contact_id = contaminated.contact_id
left join recorded on assigned.contact_id = recorded.contact_id
left join opened on assigned.contact_id = opened.contact_id
