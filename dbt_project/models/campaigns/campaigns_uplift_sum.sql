with ranked as (
    select * from {{ ref('campaigns_uplift_rank') }}
),

-- Campaigns are strata: responses without a contact must not count as uplift between campaigns.
{{ sums_by_stratum('ranked', ['scope', 'scope_id', 'decile'], ['all'], 'campaign_id') }}
