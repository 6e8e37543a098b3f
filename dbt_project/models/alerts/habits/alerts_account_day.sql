-- Share of the larger amount from which money passes through, and the prior: one day in a hundred.
{%- set passed, passed_days, known_days = 0.9, 0.5, 50 -%}
-- Shape of the Lomax distribution, for any history: an empty balance is never certain evidence.
{%- set sweep_shape = 3 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

flow as (
    select
        account_id,
        booked_on,
        any_value(month) as month,
        sum(amount) as net,
        sum(greatest(amount, 0)) as amount_in,
        sum(case when is_own then greatest(-amount, 0) else 0 end) as own_out,
        bool_or(is_own) as is_own
    from {{ ref('alerts_booking') }}
    where is_recent and {{ in_part('customer_id') }}
    group by account_id, booked_on
),

balanced as (
    select
        flow.*,
        -- Before the day's first booking.
        month.opening_balance + coalesce(
            sum(flow.net) over (
                partition by flow.account_id, flow.month order by flow.booked_on
                rows between unbounded preceding and 1 preceding
            ), 0
        ) as balance
    from flow
    left join {{ ref('base_account_month') }} as month
        on flow.account_id = month.account_id and flow.month = month.month
),

swept as (
    select
        account_id,
        booked_on,
        month,
        -- A payment from an overdraft does not empty a balance.
        case
            when own_out <= balance + amount_in
                then least(
                    0.99, {{ ratio('own_out', 'greatest(balance, 0) + amount_in') }}
                )
            else 0
        end as swept_share,
        {{ ratio('least(amount_in, own_out)', 'greatest(amount_in, own_out)') }} as passed_share,
        {{ days_from_to(
            'lag(booked_on) over (partition by account_id order by booked_on)', 'booked_on'
        ) }} as days_silent
    from balanced
    where is_own
),

habit as (
    select
        swept.account_id,
        count(*) as days,
        count(*) filter (where swept.passed_share > {{ passed }}) as passed_days,
        {{ ordered_sum('-ln(1 - coalesce(swept.swept_share, 0))', 'swept.booked_on') }} as emptied
    from swept
    cross join run
    where swept.month < run.as_of_month
    group by swept.account_id
),

kinds as (
    select
        account_id,
        customer_id,
        booked_on,
        any_value(month) as month,
        sum(bookings) as bookings,
        sum(amount) filter (where amount > 0) as amount_in,
        -sum(amount) filter (where amount < 0) as amount_out,
        sum(abs(amount)) filter (where kind in ('deposit', 'withdrawal')) as cash,
        sum(abs(amount)) as turnover,
        max(z) as amount_z,
        exp(max(size - location)) as largest_ratio,
        max(count_surprise) as count_surprise,
        sum(strangers) as new_counterparties,
        max(channels) as channels,
        max(new_channels) as new_channels,
        max(bookings_10d) filter (where kind = 'deposit') as cash_deposits_10d,
        {{ ordered_sum(
            'amount_surprise + count_surprise + stranger_surprise + channel_surprise',
            'kind, is_in'
        ) }} as surprise
    from {{ ref('alerts_kind_day') }}
    group by account_id, customer_id, booked_on
)

select
    kinds.account_id,
    kinds.customer_id,
    kinds.booked_on,
    kinds.month,
    cast(kinds.bookings as bigint) as bookings,
    cast(coalesce(kinds.amount_in, 0) as decimal(18, 2)) as amount_in,
    cast(coalesce(kinds.amount_out, 0) as decimal(18, 2)) as amount_out,
    cast(coalesce(kinds.cash, 0) as decimal(18, 2)) as cash,
    cast(kinds.turnover as decimal(18, 2)) as turnover,
    kinds.amount_z,
    kinds.largest_ratio,
    kinds.count_surprise,
    cast(kinds.new_counterparties as bigint) as new_counterparties,
    kinds.channels,
    kinds.new_channels,
    coalesce(kinds.cash_deposits_10d, 0) as cash_deposits_10d,
    kinds.surprise,
    coalesce(swept.swept_share, 0) as swept_share,
    coalesce(swept.passed_share, 0) as passed_share,
    coalesce(swept.days_silent, 366) as days_silent,
    -- Exponential with the account's mean, whose prior is gamma: a Lomax distribution.
    {{ sweep_shape }} * ln(
        1 - ln(1 - coalesce(swept.swept_share, 0)) / {{ sweep_shape }}
        * (coalesce(habit.days, 0) + 4) / (coalesce(habit.emptied, 0) + 2)
    ) as sweep_surprise,
    case
        when swept.passed_share > {{ passed }}
            then -ln(
                (coalesce(habit.passed_days, 0) + {{ passed_days }})
                / (coalesce(habit.days, 0) + {{ known_days }})
            )
        else 0
    end as pass_surprise
from kinds
inner join swept on kinds.account_id = swept.account_id and kinds.booked_on = swept.booked_on
left join habit on kinds.account_id = habit.account_id
