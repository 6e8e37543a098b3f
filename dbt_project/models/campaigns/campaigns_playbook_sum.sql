with outcome as (
    select * from {{ ref('campaigns_playbook_outcome') }}
),

{{ sums_by_stratum('outcome', ['campaign_id', 'customer_group', 'outcome']) }}
