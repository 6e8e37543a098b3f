with outcome as (
    select * from {{ ref('campaigns_outcome') }}
),

{{ sums_by_stratum('outcome', ['campaign_id', 'outcome']) }}
