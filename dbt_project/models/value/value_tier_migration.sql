with run as (
    select * from {{ ref('base_refresh_window') }}
),

now as (
    select customer.*
    from {{ ref('value_customer_tier') }} as customer
    cross join run
    where customer.month between run.month_from and run.month_to
),

before as (
    select
        customer.customer_id,
        {{ months_later('customer.month', '1') }} as month,
        customer.tier,
        customer.contribution_margin_12m
    from {{ ref('value_customer_tier') }} as customer
    cross join run
    where
        {{ months_later('customer.month', '1') }} between run.month_from and run.month_to
),

moved as (
    select
        coalesce(now.month, before.month) as month,
        coalesce(before.tier, '(new)') as tier_before,
        coalesce(now.tier, '(left)') as tier,
        coalesce(before.contribution_margin_12m, 0) as contribution_before,
        coalesce(now.contribution_margin_12m, 0) as contribution_now
    from now
    full outer join before on now.customer_id = before.customer_id and now.month = before.month
)

select
    month,
    tier_before,
    tier,
    cast(count(*) as integer) as customers,
    cast(sum(contribution_before) as decimal(18, 2)) as contribution_margin_12m_before,
    cast(sum(contribution_now) as decimal(18, 2)) as contribution_margin_12m
from moved
group by month, tier_before, tier
