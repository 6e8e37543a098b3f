with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- The same numbers of months for all customers of a campaign: those over after the month of its
-- last contact, and those known before the month of its first.
assigned as (
    select
        assignment.*,
        campaign.window_months,
        campaign.months_before,
        {{ months_later('assignment.month', 'campaign.window_months') }} as last_month,
        {{ months_later('assignment.month', '-campaign.months_before') }} as first_month,
        {{ months_later('assignment.month', '-1') }} as month_before
    from {{ ref('campaigns_assignment') }} as assignment
    inner join {{ ref('campaigns_campaign') }} as campaign
        on assignment.campaign_id = campaign.campaign_id
),

profit as (
    select
        assigned.campaign_id,
        assigned.customer_id,
        sum(profit.contribution_margin) filter (where profit.month > assigned.month)
            as contribution,
        sum(profit.contribution_margin) filter (where profit.month < assigned.month)
            as contribution_before
    from assigned
    cross join run
    inner join {{ ref('value_profit_by_customer') }} as profit
        on
            assigned.customer_id = profit.customer_id
            and run.as_of_month >= profit.month
            and assigned.first_month <= profit.month
            and assigned.last_month >= profit.month
    group by assigned.campaign_id, assigned.customer_id
),

balance as (
    select
        assigned.campaign_id,
        assigned.customer_id,
        sum({{ balance_of('held', product_lines('is_entrusted')) }})
        filter (where held.month = assigned.last_month) as balance,
        sum({{ balance_of('held', product_lines('is_entrusted')) }})
        filter (where held.month = assigned.month_before) as balance_before
    from assigned
    cross join run
    inner join {{ ref('base_customer_month') }} as held
        on
            assigned.customer_id = held.customer_id
            and run.as_of_month >= held.month
            and held.month in (assigned.last_month, assigned.month_before)
    group by assigned.campaign_id, assigned.customer_id
),

-- A customer without a row in a month has no contribution and no balance in it. No customer is left
-- out because of events after the assignment.
known as (
    select
        assigned.campaign_id,
        assigned.customer_id,
        assigned.arm,
        assigned.share,
        assigned.window_months,
        assigned.is_taken,
        cast(coalesce(profit.contribution, 0) as double) as contribution,
        cast(coalesce(balance.balance, 0) as double) as balance,
        case
            when assigned.months_before >= {{ covariate_months()['least'] }}
                then
                    cast(coalesce(profit.contribution_before, 0) as double)
                    / assigned.months_before
        end as contribution_before,
        case
            when assigned.months_before >= 1
                then cast(coalesce(balance.balance_before, 0) as double)
        end as balance_before
    from assigned
    left join profit
        on
            assigned.campaign_id = profit.campaign_id
            and assigned.customer_id = profit.customer_id
    left join balance
        on
            assigned.campaign_id = balance.campaign_id
            and assigned.customer_id = balance.customer_id
)

select
    campaign_id,
    customer_id,
    'response' as outcome,
    arm,
    share,
    cast(case when is_taken then 1 else 0 end as double) as y,
    -- Balances are skewed: their logarithm is a better predictor of a response.
    ln(1 + greatest(0, coalesce(balance_before, 0))) as x
from known
union all
select
    campaign_id,
    customer_id,
    'contribution' as outcome,
    arm,
    share,
    contribution as y,
    contribution_before as x
from known
where window_months > 0
union all
select
    campaign_id,
    customer_id,
    'balance' as outcome,
    arm,
    share,
    balance as y,
    balance_before as x
from known
where window_months > 0
