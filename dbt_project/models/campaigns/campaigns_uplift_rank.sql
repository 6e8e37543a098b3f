{%- set deciles = 10 %}

-- Contacts whose response window is over.
with predicted as (
    select
        assignment.*,
        uplift.predicted
    from {{ ref('campaigns_assignment') }} as assignment
    inner join {{ source('models', 'held_out_uplift') }} as uplift
        on assignment.contact_id = uplift.contact_id
    where assignment.is_response_complete
),

scoped as (
    select
        *,
        'campaign' as scope,
        campaign_id as scope_id
    from predicted
    union all
    select
        *,
        'offer' as scope,
        product_id as scope_id
    from predicted
    union all
    select
        *,
        'all' as scope,
        'all' as scope_id
    from predicted
)

select
    scope,
    scope_id,
    contact_id,
    campaign_id,
    cast(
        ntile({{ deciles }}) over (partition by scope, scope_id order by predicted, contact_id)
        as integer
    ) as decile,
    arm,
    share,
    cast(case when is_taken then 1 else 0 end as double) as y,
    predicted as x
from scoped
