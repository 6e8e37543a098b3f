"""Abnormal transactions: how unlike an account's own past each day of the as-of month is.

The engine compares every day with the account's habits of the year before and keeps a day's sums;
Python sees a bounded sample of past days to learn from and the month's days in batches.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from math import ceil

import duckdb
import pandas as pd

from ml.anomaly.detector import FEATURES, AbnormalDays
from ml.anomaly.reasons import DayEvidence, KindEvidence, explain
from orchestration.models.cutoffs import plus_months

# An investigator looks at some ten cases a working day, about 200 a month: with two for each 1,000
# customers one of them is enough for a bank of 100,000.
CAPACITY_PER_1000 = 2.0
# Less history tells habits from chance too badly.
LEAST_MONTHS, LEAST_DAYS = 3, 300
PROFILE_MONTHS = 12
# A counterparty or channel is new when not met in so many months before the as-of month.
MEMORY_MONTHS = 24
SAMPLED_DAYS = 40_000
# Judged bookings of the profile's months that the engine works on at a time; with the others and
# the memory's months it holds some six times as many rows.
BOOKINGS_AT_ONCE = 500_000
# Alerts tell of days that are rarer than one in 100, 1,000 and 10,000 ordinary ones.
WATCHED, WARNED, ALARMING = 2.0, 3.0, 4.0

# Not judged: the bank's own bookings, what goes to a customer's own debts and investments here, and
# standing instructions.
OTHER_KINDS = (
    *("interest_paid", "interest_charged", "fee", "penalty", "loan_payout", "loan_repayment"),
    *("purchase", "sale", "insurance_premium", "salary", "pension"),
)
OTHER_CHANNELS = ("system", "standing_order")
# Weight of the peer group in an account's profile, in bookings.
PEER_BOOKINGS = 3
# A channel's share among peers counts as so many bookings of the account.
CHANNEL_BOOKINGS = 3
# Standard deviation of log amount that no account stays below.
LEAST_SCALE = 0.25
# Degrees of freedom of the predictive t distribution: heavy tails, as amounts have them.
LEAST_FREEDOM, MOST_FREEDOM = 4, 30
# No history, however long, makes an account so regular that a burst, or an empty account, is proof.
MOST_SHAPE, SWEEP_SHAPE = 8, 3
FILLED_DAYS = 31  # after the opening, in which money that comes in is no sign
# Share of the usual amount from which a booking counts in a burst.
SIZEABLE = 0.25
# Of a normal distribution: standard deviation over median absolute deviation.
DEVIATION = 1.4826
# What leaves on the day it arrived, as a share of the larger: one day in a hundred before an
# account's own days say more.
PASSED, PASSED_DAYS, KNOWN_DAYS = 0.9, 0.5, 50
STEPS = 20  # of log amount to the unit, in the peers' histogram

CREATE_ALERT = """
create schema if not exists alerts;
create or replace table alerts.transaction (
    transaction_id varchar primary key,
    account_id varchar,
    customer_id varchar,
    booked_on date,
    month date,
    kind varchar,
    channel varchar,
    amount decimal(18, 2),
    score double,
    rank integer,
    severity varchar,
    reason varchar,
    usual_amount decimal(18, 2),
    rule_score double,
    forest_score double,
    employee_id varchar
)
"""


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


OWN = f"""
    kind not in ({_listed(OTHER_KINDS)})
    and coalesce(channel, '(none)') not in ({_listed(OTHER_CHANNELS)})
    and amount <> 0
"""

# Owners answer for their accounts; a customer's accounts are always judged together.
ACCOUNT = """
    create or replace temp table abnormal_account as
    select
        account.account_id,
        owner.customer_id,
        account.product_line,
        account.opened_on,
        account.closed_on,
        (hash(owner.customer_id) % $buckets)::integer as bucket,
        greatest(1, date_diff('day', greatest(account.opened_on, $first), $month)) as days_known
    from base.account as account
    inner join (
        select account_id, min(customer_id) as customer_id
        from base.account_holder where role = 'owner' group by account_id
    ) as owner on owner.account_id = account.account_id
"""

# What peers pay and receive: own bookings of a product line in one direction, as a histogram of the
# logarithm of the amount. It stays small, and its median is the same in whatever order rows come.
PEER_AMOUNT = f"""
    create or replace temp table abnormal_peer_amount as
    with
    counted as (
        select
            account.product_line,
            booking.amount > 0 as is_in,
            round({STEPS} * ln(abs(booking.amount)::double))::integer as step,
            count(*) as bookings
        from staging.stg_transaction as booking
        inner join temp.abnormal_account as account
            on account.account_id = booking.account_id
        where booking.month >= $first and booking.month < $month and {OWN}
        group by all
    ),
    running as (
        select
            *,
            sum(bookings) over (partition by product_line, is_in order by step) as so_far,
            sum(bookings) over (partition by product_line, is_in) as in_all
        from counted
    ),
    centre as (
        select product_line, is_in, min(step) as step, any_value(in_all) as in_all
        from running where 2 * so_far >= in_all group by product_line, is_in
    ),
    apart as (
        select
            counted.product_line,
            counted.is_in,
            abs(counted.step - centre.step) as distance,
            sum(counted.bookings) as bookings,
            any_value(centre.in_all) as in_all
        from counted
        inner join centre
            on centre.product_line = counted.product_line and centre.is_in = counted.is_in
        group by all
    ),
    spread as (
        select product_line, is_in, min(distance) as distance
        from (
            select
                *,
                sum(bookings) over (partition by product_line, is_in order by distance) as so_far
            from apart
        )
        where 2 * so_far >= in_all
        group by product_line, is_in
    )
    select
        centre.product_line,
        centre.is_in,
        centre.step / {STEPS}.0 as location,
        greatest({LEAST_SCALE}, {DEVIATION} * spread.distance / {STEPS}.0) as scale
    from centre
    inner join spread
        on spread.product_line = centre.product_line and spread.is_in = centre.is_in
"""

# How often peers book a kind, by account and day, and through which channels.
PEER_CHANNEL = f"""
    create or replace temp table abnormal_peer_channel as
    with
    counted as (
        select
            account.product_line,
            booking.kind,
            coalesce(booking.channel, '(none)') as channel,
            count(*) as bookings
        from staging.stg_transaction as booking
        inner join temp.abnormal_account as account on account.account_id = booking.account_id
        where booking.month >= $first and booking.month < $month and {OWN}
        group by all
    ),
    exposed as (
        select product_line, sum(days_known) as days
        from temp.abnormal_account group by product_line
    )
    select
        counted.product_line,
        counted.kind,
        counted.channel,
        bookings / sum(bookings) over by_kind as share,
        sum(bookings) over by_kind / exposed.days as daily
    from counted
    inner join exposed on exposed.product_line = counted.product_line
    window by_kind as (partition by counted.product_line, counted.kind)
"""

# Bookings of a bucket's accounts: those of the memory only say whom and what an account knows. What
# leaves one account of a customer and arrives in another on the same day is no payment.
BOOKING = f"""
    create or replace temp table abnormal_booking as
    with
    booking as (
        select
            booking.*,
            account.customer_id,
            account.opened_on,
            account.closed_on,
            abs(booking.amount) as size
        from staging.stg_transaction as booking
        inner join temp.abnormal_account as account
            on account.account_id = booking.account_id and account.bucket = $bucket
        where booking.month >= $remembered and booking.month <= $month
    ),
    moved as (
        select customer_id, booked_on, size
        from booking
        where month >= $first
        group by customer_id, booked_on, size
        having sum(amount) = 0 and min(account_id) <> max(account_id)
    )
    select
        booking.account_id,
        booking.booked_on,
        booking.month,
        booking.kind,
        coalesce(booking.channel, '(none)') as channel,
        booking.amount::double as amount,
        ln(nullif(booking.size, 0)::double) as size,
        case
            when booking.counterparty_account is not null
                then hash(booking.counterparty_bank, booking.counterparty_account)
        end as counterparty,
        {OWN}
        and moved.size is null
        -- An account is filled when it is opened and emptied when it is closed.
        and not (booking.amount > 0 and booking.booked_on < booking.opened_on + {FILLED_DAYS})
        and booking.booked_on is distinct from booking.closed_on as is_own
    from booking
    left join moved
        on moved.customer_id = booking.customer_id
        and moved.booked_on = booking.booked_on
        and moved.size = booking.size
"""

PROFILE = f"""
    create or replace temp table abnormal_profile as
    with
    amount as (
        select
            account_id,
            amount > 0 as is_in,
            count(*) as bookings,
            median(size) as location,
            {DEVIATION} * mad(size) as scale
        from temp.abnormal_booking
        where is_own and month >= $first and month < $month
        group by account_id, amount > 0
    ),
    -- Also what an account does for the first time in the month has a profile: its peers'.
    kind as (
        select
            account_id,
            kind,
            amount > 0 as is_in,
            count(*) filter (where month < $month) as bookings,
            count(distinct counterparty) filter (where month < $month) as counterparties,
            count(counterparty) filter (where month < $month) as transfers
        from temp.abnormal_booking
        where is_own and month >= $first
        group by account_id, kind, amount > 0
    ),
    rate as (
        select product_line, kind, max(daily) as daily
        from temp.abnormal_peer_channel group by product_line, kind
    )
    select
        kind.account_id,
        kind.kind,
        kind.is_in,
        coalesce(amount.bookings, 0) as bookings,
        (
            coalesce(amount.bookings * amount.location, 0)
            + {PEER_BOOKINGS} * coalesce(peer.location, amount.location, 0)
        ) / (coalesce(amount.bookings, 0) + {PEER_BOOKINGS}) as location,
        greatest({LEAST_SCALE}, sqrt(
            (
                coalesce(amount.bookings * amount.scale ** 2, 0)
                + {PEER_BOOKINGS} * coalesce(peer.scale, 1) ** 2
            ) / (coalesce(amount.bookings, 0) + {PEER_BOOKINGS})
        )) as scale,
        -- Gamma prior of one booking in the time that peers take for one.
        least(kind.bookings + 1, {MOST_SHAPE}) as shape,
        (account.days_known + 1 / coalesce(rate.daily, 1 / 365))
        * least(1, {MOST_SHAPE} / (kind.bookings + 1)) as exposure,
        -ln((kind.counterparties + 1) / (kind.transfers + 2)) as stranger_surprise
    from kind
    inner join temp.abnormal_account as account on account.account_id = kind.account_id
    left join amount on amount.account_id = kind.account_id and amount.is_in = kind.is_in
    left join temp.abnormal_peer_amount as peer
        on peer.product_line = account.product_line and peer.is_in = kind.is_in
    left join rate on rate.product_line = account.product_line and rate.kind = kind.kind
"""

CHANNEL = f"""
    create or replace temp table abnormal_channel as
    with
    used as (
        select
            account_id,
            kind,
            channel,
            min(month) as first_month,
            count(*) filter (where month >= $first and month < $month) as bookings
        from temp.abnormal_booking
        where is_own
        group by account_id, kind, channel
    )
    select
        used.account_id,
        used.kind,
        used.channel,
        used.first_month,
        min(used.first_month) over (partition by used.account_id, used.channel)
            as channel_first_month,
        -ln(
            (used.bookings + {CHANNEL_BOOKINGS} * coalesce(peer.share, 0.001))
            / (sum(used.bookings) over (partition by used.account_id, used.kind)
                + {CHANNEL_BOOKINGS})
        ) as channel_surprise
    from used
    inner join temp.abnormal_account as account on account.account_id = used.account_id
    left join temp.abnormal_peer_channel as peer
        on peer.product_line = account.product_line
        and peer.kind = used.kind
        and peer.channel = used.channel
"""


def _count_surprise(bookings: str, days: int) -> str:
    """−ln of the probability of so many bookings in so many days, less that of a single one.

    Predictive distribution of a Poisson count whose rate has a gamma posterior: negative binomial.
    """
    return f"""
        case
            when {bookings} > greatest(1, shape * {days} / exposure) then
                lgamma(shape + 1) + lgamma({bookings} + 1) - lgamma({bookings} + shape)
                - ({bookings} - 1) * ln({days} / (exposure + {days}))
            else 0
        end
    """


# One row an account, day and kind, with what each of its signs says in natural logarithms.
KIND_DAY = f"""
    create or replace temp table abnormal_kind_day as
    with
    seen as (
        select account_id, counterparty, min(month) as first_month
        from temp.abnormal_booking
        where counterparty is not null
        group by account_id, counterparty
    ),
    day as (
        select
            booking.account_id,
            booking.booked_on,
            booking.kind,
            booking.amount > 0 as is_in,
            any_value(booking.month) as month,
            count(*) as bookings,
            sum(booking.amount) as amount,
            count(*) filter (where booking.size >= profile.location + ln({SIZEABLE})) as sizeable,
            max(booking.size) as size,
            count(distinct booking.counterparty)
                filter (where seen.first_month = booking.month) as strangers,
            count(*) filter (
                where booking.size - ln(10) * floor(booking.size / ln(10)) between ln(1.8) and ln(2)
                or booking.size - ln(10) * floor(booking.size / ln(10)) between ln(2.7) and ln(3)
                or booking.size - ln(10) * floor(booking.size / ln(10)) between ln(4.5) and ln(5)
                or booking.size - ln(10) * floor(booking.size / ln(10)) >= ln(9)
            ) as just_below_round,
            max(channel.channel_surprise) as channel_surprise,
            max_by(booking.channel, channel.channel_surprise) as channel,
            count(distinct booking.channel) as channels,
            count(distinct booking.channel)
                filter (where channel.channel_first_month = booking.month) as new_channels
        from temp.abnormal_booking as booking
        inner join temp.abnormal_channel as channel
            on channel.account_id = booking.account_id
            and channel.kind = booking.kind
            and channel.channel = booking.channel
        inner join temp.abnormal_profile as profile
            on profile.account_id = booking.account_id
            and profile.kind = booking.kind
            and profile.is_in = (booking.amount > 0)
        left join seen
            on seen.account_id = booking.account_id and seen.counterparty = booking.counterparty
        where booking.is_own and booking.month >= $first
        group by booking.account_id, booking.booked_on, booking.kind, booking.amount > 0
    ),
    burst as (
        select
            *,
            sum(sizeable) over two as bookings_2d,
            sum(sizeable) over ten as bookings_10d,
            ln(sum(abs(amount)) over two) as size_2d,
            sum(just_below_round) over ten as just_below_round_10d
        from day
        window
            two as (
                partition by account_id, kind, is_in order by booked_on
                range between interval 1 day preceding and current row
            ),
            ten as (
                partition by account_id, kind, is_in order by booked_on
                range between interval 9 days preceding and current row
            )
    ),
    compared as (
        select
            burst.*,
            profile.bookings as known_bookings,
            profile.location,
            profile.shape / profile.exposure as daily,
            (burst.size_2d - profile.location) / profile.scale as z,
            least({MOST_FREEDOM}, {LEAST_FREEDOM} + profile.bookings) as freedom,
            greatest(
                {_count_surprise("bookings_2d", 2)}, {_count_surprise("bookings_10d", 10)}
            ) as count_surprise,
            case when strangers > 0 then stranger_surprise else 0 end as stranger_surprise
        from burst
        inner join temp.abnormal_profile as profile
            on profile.account_id = burst.account_id
            and profile.kind = burst.kind
            and profile.is_in = burst.is_in
    )
    select
        *,
        -- Of a predictive t distribution: its log density, less that at the centre.
        case when z > 0 then (freedom + 1) / 2 * ln(1 + z ** 2 / freedom) else 0 end
            as amount_surprise
    from compared
"""

# One row an account and day with bookings of its own.
ACCOUNT_DAY = f"""
    create or replace temp table abnormal_account_day as
    with
    flow as (
        select
            account_id,
            booked_on,
            any_value(month) as month,
            sum(amount) as net,
            sum(greatest(amount, 0)) as amount_in,
            sum(case when is_own then greatest(-amount, 0) else 0 end) as own_out,
            bool_or(is_own) as is_own
        from temp.abnormal_booking
        where month >= $first
        group by account_id, booked_on
    ),
    balanced as (
        select
            flow.*,
            -- Before the day's first booking.
            month.opening_balance::double + coalesce(
                sum(flow.net) over (
                    partition by flow.account_id, flow.month order by flow.booked_on
                    rows between unbounded preceding and 1 preceding
                ), 0
            ) as balance
        from flow
        left join base.account_month as month
            on month.account_id = flow.account_id and month.month = flow.month
    ),
    swept as (
        select
            account_id,
            booked_on,
            -- What may be overdrawn is not emptied by it: credit is a habit of its own.
            case
                when own_out <= balance + amount_in
                    then least(0.99, own_out / nullif(greatest(balance, 0) + amount_in, 0))
                else 0
            end as swept_share,
            least(amount_in, own_out) / nullif(greatest(amount_in, own_out), 0) as passed_share,
            date_diff('day', lag(booked_on) over (
                partition by account_id order by booked_on
            ), booked_on) as days_silent
        from balanced
        where is_own
    ),
    habit as (
        select
            account_id,
            count(*) filter (where booked_on < $month) as days,
            count(*) filter (where booked_on < $month and passed_share > {PASSED})
                as passed_days,
            sum(-ln(1 - coalesce(swept_share, 0))) filter (where booked_on < $month) as emptied
        from swept
        group by account_id
    ),
    kinds as (
        select
            account_id,
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
            sum(amount_surprise + count_surprise + stranger_surprise + channel_surprise)
                as surprise
        from temp.abnormal_kind_day
        group by account_id, booked_on
    )
    select
        kinds.*,
        coalesce(swept.swept_share, 0) as swept_share,
        coalesce(swept.passed_share, 0) as passed_share,
        coalesce(swept.days_silent, 366) as days_silent,
        -- Emptying is exponential with the account's own mean, itself gamma: a Lomax distribution.
        {SWEEP_SHAPE} * ln(
            1 - ln(1 - coalesce(swept.swept_share, 0)) / {SWEEP_SHAPE}
            * (coalesce(habit.days, 0) + 4) / (coalesce(habit.emptied, 0) + 2)
        ) as sweep_surprise,
        case
            when swept.passed_share > {PASSED}
                then -ln((coalesce(habit.passed_days, 0) + {PASSED_DAYS})
                    / (coalesce(habit.days, 0) + {KNOWN_DAYS}))
            else 0
        end as pass_surprise
    from kinds
    inner join swept
        on swept.account_id = kinds.account_id and swept.booked_on = kinds.booked_on
    inner join habit on habit.account_id = kinds.account_id
"""

CREATE_CUSTOMER_DAY = """
    create or replace temp table abnormal_day (
        customer_id varchar,
        booked_on date,
        is_judged boolean,
        account_id varchar,
        surprise double,
        bookings double,
        amount_in double,
        amount_out double,
        largest_ratio double,
        count_surprise double,
        new_counterparties double,
        cash_deposits_10d double,
        days_silent double,
        amount_z double,
        channels double,
        new_channels double,
        cash_share double,
        swept_share double,
        passed_share double
    )
"""

# All days of the month, and of the year before those that the sample takes by their hash.
CUSTOMER_DAY = """
    insert into temp.abnormal_day
    select
        account.customer_id,
        day.booked_on,
        day.month = $month,
        max_by(day.account_id, day.surprise + day.sweep_surprise + day.pass_surprise),
        max(day.surprise + day.sweep_surprise + day.pass_surprise),
        sum(day.bookings),
        sum(coalesce(day.amount_in, 0)),
        sum(coalesce(day.amount_out, 0)),
        max(day.largest_ratio),
        max(day.count_surprise),
        sum(day.new_counterparties),
        max(coalesce(day.cash_deposits_10d, 0)),
        min(day.days_silent),
        max(day.amount_z),
        max(day.channels),
        max(day.new_channels),
        sum(coalesce(day.cash, 0)) / sum(day.turnover),
        max(day.swept_share),
        max(day.passed_share)
    from temp.abnormal_account_day as day
    inner join temp.abnormal_account as account on account.account_id = day.account_id
    where
        day.month = $month
        or hash(account.customer_id, day.booked_on) % 1000000 < $share * 1000000
    group by account.customer_id, day.booked_on, day.month
"""

# What the words are made of, of the month's days only.
EVIDENCE = """
    select
        kind.account_id,
        kind.booked_on,
        kind.kind,
        kind.channel,
        kind.is_in,
        exp(kind.size) as largest_amount,
        exp(kind.location) as usual_amount,
        kind.known_bookings::integer as known_bookings,
        kind.bookings_2d::integer as bookings_2d,
        kind.bookings_10d::integer as bookings_10d,
        kind.just_below_round_10d::integer as just_below_round_10d,
        kind.daily,
        kind.strangers::integer as strangers,
        kind.new_channels::integer as new_channels,
        kind.amount_surprise,
        kind.count_surprise,
        kind.stranger_surprise,
        kind.channel_surprise,
        day.swept_share,
        day.passed_share,
        day.days_silent::integer as days_silent,
        day.sweep_surprise,
        day.pass_surprise
    from temp.abnormal_kind_day as kind
    inner join temp.abnormal_account_day as day
        on day.account_id = kind.account_id and day.booked_on = kind.booked_on
    where kind.month = $month
"""

# An account's worst day stands for its month: who looks at one day sees the others.
CHOSEN = """
    create or replace temp table abnormal_chosen as
    select *, (row_number() over (order by score desc, account_id))::integer as rank
    from (
        select
            day.customer_id,
            day.account_id,
            day.booked_on,
            judged.score,
            judged.rule_score,
            judged.forest_score
        from temp.abnormal_score as judged
        inner join temp.abnormal_day as day
            on day.customer_id = judged.customer_id and day.booked_on = judged.booked_on
        where day.is_judged and judged.score >= $watched
        qualify row_number() over (
            partition by day.account_id order by judged.score desc, day.booked_on
        ) = 1
    )
    order by score desc, account_id
    limit $capacity
"""

CHOSEN_EVIDENCE = """
    select evidence.*
    from temp.abnormal_evidence as evidence
    inner join temp.abnormal_chosen as chosen
        on chosen.account_id = evidence.account_id and chosen.booked_on = evidence.booked_on
    order by
        chosen.rank,
        evidence.amount_surprise + evidence.count_surprise + evidence.stranger_surprise
        + evidence.channel_surprise desc,
        evidence.kind
"""

WARN = """
    insert into alerts.transaction
    select
        booking.transaction_id,
        chosen.account_id,
        chosen.customer_id,
        chosen.booked_on,
        $month,
        booking.kind,
        booking.channel,
        booking.amount,
        chosen.score,
        chosen.rank,
        case
            when chosen.score >= $alarming then 'alarm'
            when chosen.score >= $warned then 'warning'
            else 'watch'
        end,
        why.reason,
        why.usual_amount,
        chosen.rule_score,
        chosen.forest_score,
        customer.employee_id
    from temp.abnormal_chosen as chosen
    inner join abnormal_why as why
        on why.account_id = chosen.account_id and why.booked_on = chosen.booked_on
    inner join staging.stg_transaction as booking
        on booking.account_id = why.account_id
        and booking.booked_on = why.booked_on
        and booking.month = $month
        and booking.kind = why.kind
        and (booking.amount > 0) = why.is_in
    left join base.customer as customer on customer.customer_id = chosen.customer_id
    qualify row_number() over (
        partition by chosen.account_id
        order by abs(abs(booking.amount)::double - why.largest_amount), booking.transaction_id
    ) = 1
    order by chosen.rank
"""

TABLES = (
    *("account", "peer_amount", "peer_channel", "booking", "profile", "channel", "kind_day"),
    *("account_day", "day", "evidence", "score", "chosen"),
)


def write_transaction_alerts(
    connection: duckdb.DuckDBPyConnection,
    month: date,
    *,
    capacity_per_1000: float = CAPACITY_PER_1000,
    seed: int,
) -> int:
    """Write `alerts.transaction` for the bookings of a month; returns the alerts.

    Without bookings, or with too little history before the month to know habits from, the table is
    empty.

    Parameters
    ----------
    month : date, first day of the as-of month
    capacity_per_1000 : float, alerts for each 1,000 customers that hold an account
    seed : int, of the isolation forest

    Raises
    ------
    ValueError
        When the capacity is below zero.
    """
    if capacity_per_1000 < 0:
        raise ValueError(f"capacity_per_1000 is {capacity_per_1000}; it cannot be below zero")
    for statement in filter(str.strip, CREATE_ALERT.split(";")):
        connection.execute(statement)
    bookings, months = _history(connection, month)
    capacity = _capacity(connection, capacity_per_1000)
    if months < LEAST_MONTHS or capacity == 0:
        return 0
    buckets = ceil(bookings / BOOKINGS_AT_ONCE)
    share = min(1.0, SAMPLED_DAYS / bookings)
    try:
        _compare(connection, month, buckets, share)
        if not _judge(connection, buckets, seed):
            return 0
        _warn(connection, month, capacity)
    finally:
        for table in TABLES:
            connection.execute(f"drop table if exists temp.abnormal_{table}")
    return int(connection.execute("select count(*) from alerts.transaction").fetchall()[0][0])


def _history(connection: duckdb.DuckDBPyConnection, month: date) -> tuple[int, int]:
    """Bookings, and months with any, in the year before `month`."""
    ((bookings, months),) = connection.execute(
        "select count(*), count(distinct month) from staging.stg_transaction "
        f"where month >= $first and month < $month and {OWN}",
        {"first": plus_months(month, -PROFILE_MONTHS), "month": month},
    ).fetchall()
    return int(bookings), int(months)


def _capacity(connection: duckdb.DuckDBPyConnection, per_1000: float) -> int:
    ((customers,),) = connection.execute(
        "select count(*) from base.customer where accounts > 0"
    ).fetchall()
    return ceil(per_1000 * customers / 1000)


def _compare(
    connection: duckdb.DuckDBPyConnection, month: date, buckets: int, share: float
) -> None:
    """Fill `abnormal_day` and `abnormal_evidence`, a bucket of customers at a time."""
    given = {
        "month": month,
        "first": plus_months(month, -PROFILE_MONTHS),
        "remembered": plus_months(month, -MEMORY_MONTHS),
        "buckets": buckets,
        "share": share,
    }

    def run(statement: str, **more: int) -> None:
        known = {**given, **more}
        used = {name: value for name, value in known.items() if f"${name}" in statement}
        connection.execute(statement, used)

    for statement in (ACCOUNT, PEER_AMOUNT, PEER_CHANNEL, CREATE_CUSTOMER_DAY):
        run(statement)
    for bucket in range(buckets):
        for statement in (BOOKING, PROFILE, CHANNEL, KIND_DAY, ACCOUNT_DAY, CUSTOMER_DAY):
            run(statement, bucket=bucket)
        keep = (
            "insert into temp.abnormal_evidence"
            if bucket
            else ("create or replace temp table abnormal_evidence as")
        )
        run(f"{keep} {EVIDENCE}")


def _judge(connection: duckdb.DuckDBPyConnection, buckets: int, seed: int) -> bool:
    """Score the month's days into `abnormal_score`; whether there was enough to learn from."""
    columns = f"customer_id, booked_on, surprise, {', '.join(FEATURES)}"
    past = connection.execute(
        f"select {columns} from temp.abnormal_day where not is_judged "
        "order by customer_id, booked_on"
    ).df()
    if len(past) < LEAST_DAYS:
        return False
    detector = AbnormalDays(seed).fit(past, past["surprise"].to_numpy())
    connection.execute(
        "create or replace temp table abnormal_score (customer_id varchar, booked_on date, "
        "score double, rule_score double, forest_score double)"
    )
    for bucket in range(buckets):
        days = connection.execute(
            f"select {columns} from temp.abnormal_day "
            "where is_judged and hash(customer_id) % $buckets = $bucket "
            "order by customer_id, booked_on",
            {"buckets": buckets, "bucket": bucket},
        ).df()
        if days.empty:
            continue
        scores = detector.score(days, days["surprise"].to_numpy())
        judged = pd.concat([days[["customer_id", "booked_on"]], scores], axis=1)
        connection.register("abnormal_rows", judged)
        connection.execute("insert into temp.abnormal_score by name select * from abnormal_rows")
        connection.unregister("abnormal_rows")
    return True


def _warn(connection: duckdb.DuckDBPyConnection, month: date, capacity: int) -> None:
    """The most abnormal days into `alerts.transaction`, with their reasons."""
    connection.execute(CHOSEN, {"watched": WATCHED, "capacity": capacity})
    evidence = connection.execute(CHOSEN_EVIDENCE).df()
    why = [
        {
            "account_id": account_id,
            "booked_on": booked_on,
            "kind": rows["kind"].iloc[0],
            "is_in": bool(rows["is_in"].iloc[0]),
            "largest_amount": float(rows["largest_amount"].iloc[0]),
            "usual_amount": float(rows["usual_amount"].iloc[0]),
            "reason": _explained(rows),
        }
        for (account_id, booked_on), rows in evidence.groupby(
            ["account_id", "booked_on"], sort=False
        )
    ]
    if not why:
        return
    connection.register("abnormal_why", pd.DataFrame(why))
    connection.execute(WARN, {"month": month, "warned": WARNED, "alarming": ALARMING})
    connection.unregister("abnormal_why")


def _explained(rows: pd.DataFrame) -> str:
    records = rows.to_dict("records")
    kinds = [
        KindEvidence(**{field.name: record[field.name] for field in fields(KindEvidence)})
        for record in records
    ]
    day = DayEvidence(**{field.name: records[0][field.name] for field in fields(DayEvidence)})
    return explain(kinds, day)
