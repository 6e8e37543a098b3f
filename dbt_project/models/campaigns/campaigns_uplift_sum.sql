with ranked as (
    select * from {{ ref('campaigns_uplift_rank') }}
),

-- What one campaign's customers take anyway must not count as uplift: campaigns are strata.
{{ sums_by_stratum('ranked', ['scope', 'scope_id', 'decile'], ['all'], 'campaign_id') }}
