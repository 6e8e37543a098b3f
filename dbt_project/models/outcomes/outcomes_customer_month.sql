with horizon as (
    select * from {{ ref('outcomes_cutoff_month') }}
),

sample as (
    select * from {{ ref('outcomes_customer_sample') }}
),

customer as (
    select
        customer_month.customer_id,
        horizon.cutoff
    from sample
    inner join {{ ref('base_customer_month') }} as customer_month
        on sample.customer_id = customer_month.customer_id
    inner join horizon on customer_month.month = horizon.cutoff
    where horizon.number = 1
),

profit as (
    select
        profit.customer_id,
        horizon.cutoff,
        sum({{ discounted('profit.contribution_margin', 'horizon.discount_factor') }})
            as contribution
    from sample
    inner join {{ ref('value_profit_by_customer') }} as profit
        on sample.customer_id = profit.customer_id
    inner join horizon on profit.month = horizon.month
    group by profit.customer_id, horizon.cutoff
),

other as (
    select
        customer_id,
        cutoff,
        sum(contribution) as contribution_other,
        sum(contribution_discounted) as contribution_other_discounted
    from {{ ref('outcomes_customer_line_month') }}
    where not is_at_risk
    group by customer_id, cutoff
),

life as (
    select
        customer_month.customer_id,
        horizon.cutoff,
        min(case when customer_month.accounts = 0 then horizon.number end) as months_to_exit,
        min(case when customer_month.is_defaulted then horizon.number end) as months_to_default,
        sum(customer_month.bookings) as bookings,
        sum(customer_month.inflow) as inflow,
        max_by(
            {{ balance_of('customer_month', product_lines('is_entrusted')) }}, horizon.number
        ) as balance,
        max_by(customer_month.accounts, horizon.number) as accounts
    from sample
    inner join {{ ref('base_customer_month') }} as customer_month
        on sample.customer_id = customer_month.customer_id
    inner join horizon on customer_month.month = horizon.month
    group by customer_month.customer_id, horizon.cutoff
),

tier as (
    select
        tier.customer_id,
        horizon.cutoff,
        min(tier.tier_number) as best_tier_number
    from sample
    inner join {{ ref('value_customer_tier') }} as tier on sample.customer_id = tier.customer_id
    inner join horizon on tier.month = horizon.month
    group by tier.customer_id, horizon.cutoff
)

select
    customer.customer_id,
    customer.cutoff,
    cast(coalesce(profit.contribution, 0) as double) as contribution,
    cast(coalesce(other.contribution_other, 0) as decimal(18, 2)) as contribution_other,
    cast(coalesce(other.contribution_other_discounted, 0) as double)
        as contribution_other_discounted,
    life.months_to_exit,
    life.months_to_default,
    tier.best_tier_number,
    cast(coalesce(life.bookings, 0) as double) as bookings,
    cast(coalesce(life.inflow, 0) as double) as inflow,
    cast(coalesce(life.balance, 0) as double) as balance,
    cast(coalesce(life.accounts, 0) as double) as accounts
from customer
left join profit
    on customer.customer_id = profit.customer_id and customer.cutoff = profit.cutoff
left join other
    on customer.customer_id = other.customer_id and customer.cutoff = other.cutoff
left join life
    on customer.customer_id = life.customer_id and customer.cutoff = life.cutoff
left join tier
    on customer.customer_id = tier.customer_id and customer.cutoff = tier.cutoff
