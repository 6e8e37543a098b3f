with run as (
    select * from {{ ref('base_refresh_window') }}
),

day as (
    select
        *,
        surprise + sweep_surprise + pass_surprise as day_surprise
    from {{ ref('alerts_account_day') }}
)

select
    day.customer_id,
    day.booked_on,
    day.month = run.as_of_month as is_judged,
    max_by(day.account_id, day.day_surprise) as account_id,
    max(day.day_surprise) as surprise,
    cast(sum(day.bookings) as double) as bookings,
    cast(sum(day.amount_in) as double) as amount_in,
    cast(sum(day.amount_out) as double) as amount_out,
    max(day.largest_ratio) as largest_ratio,
    max(day.count_surprise) as count_surprise,
    cast(sum(day.new_counterparties) as double) as new_counterparties,
    cast(max(day.cash_deposits_10d) as double) as cash_deposits_10d,
    cast(min(day.days_silent) as double) as days_silent,
    max(day.amount_z) as amount_z,
    cast(max(day.channels) as double) as channels,
    cast(max(day.new_channels) as double) as new_channels,
    {{ ratio('sum(day.cash)', 'sum(day.turnover)') }} as cash_share,
    max(day.swept_share) as swept_share,
    max(day.passed_share) as passed_share
from day
cross join run
group by day.customer_id, day.booked_on, day.month, run.as_of_month
