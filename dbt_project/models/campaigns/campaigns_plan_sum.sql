with planned as (
    select
        *,
        cast(case when is_taken then 1 else 0 end as double) as y,
        cast(null as double) as x
    from {{ ref('campaigns_planned') }}
),

{{ sums_by_stratum('planned', ['plan_month', 'campaign_id']) }}
