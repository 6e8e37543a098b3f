{{ config(materialized='incremental') }}

{%- set no_behaviour = booking_groups()['charge'] + ['loan_payout', 'write_off', 'recovery'] -%}
{%- set active = quoted_list(booking_channels('is_by_hand')) -%}
{%- set income = quoted_list(booking_groups()['income']) -%}
{#- When the rate of the month was agreed: as delivered, or the conversion, or the opening. -#}
{%- set priced_on -%}
    case
        when version.priced_on <= balanced.month_end then version.priced_on
        else coalesce(version.converted_on, account.opened_on)
    end
{%- endset -%}
{%- set measures = [
    'inflow', 'outflow', 'income', 'card_payments', 'cash_withdrawals', 'loan_repayments',
    'net_invested', 'interest_paid', 'interest_charged', 'fees',
] -%}
{%- set level = 'delivered_balance.closing_balance - running.booked_so_far' -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:LT02,ST05,ST06,RF04
with run as (
    select * from {{ ref('base_refresh_window') }}
),

account as (
    select * from {{ latest_extract(ref('stg_account')) }} as latest
),

-- The one loan of a loan account: its rate and term hold where the account has none.
loan as (
    select
        account_id,
        max(interest_rate) as interest_rate,
        max(term_months) as term_months
    from {{ latest_extract(ref('stg_loan')) }} as latest
    group by account_id
    having count(*) = 1
),

followed as (
    select
        *,
        case
            when
                lag(product_id) over by_version is not null
                and (
                    product_id <> lag(product_id) over by_version
                    or term_months is distinct from lag(term_months) over by_version
                    or matures_on is distinct from lag(matures_on) over by_version
                )
                then valid_from
        end as changed_on
    from {{ ref('base_account_history') }}
    window by_version as (partition by account_id order by valid_from)
),

-- As the account was known to be in each month: it may move to another branch, product or limit. A
-- conversion or an extension is agreed anew: the price is that of its month.
version as (
    select
        followed.*,
        product.product_line,
        max(followed.changed_on) over (
            partition by followed.account_id order by followed.valid_from
            rows between unbounded preceding and current row
        ) as converted_on,
        loan.interest_rate as loan_interest_rate,
        loan.term_months as loan_term_months
    from followed
    inner join {{ latest_extract(ref('stg_product')) }} as product
        on followed.product_id = product.product_id
    left join loan
        on
            followed.account_id = loan.account_id
            and product.product_line in {{ quoted_list(product_lines('holds_loans')) }}
),

-- Delivered balances of the months refreshed, and the last one before them, which may be that of
-- the month before the history.
delivered_balance as (
    select
        delivered.account_id,
        delivered.month,
        delivered.closing_balance,
        delivered.balance_day_sum
    from {{ ref('stg_account_balance') }} as delivered
    cross join run
    where delivered.month <= run.month_to
    qualify
        delivered.month >= run.month_from
        or row_number() over (
            partition by delivered.account_id, delivered.month < run.month_from
            order by delivered.month desc
        ) = 1
),

refreshed_month as (
    {{ each_month('run', 'month_from', 'month_to') }}
),

-- What the running balance needs: with all measures of a month it is gigabytes at once.
movement as (
    select
        activity.account_id,
        activity.month,
        sum(coalesce(activity.foreign_amount, activity.amount)) as amount,
        sum(activity.balance_day_amount) as balance_day_amount,
        -- Not known in the account's own currency.
        sum(case when activity.foreign_amount is null then activity.amount_in end) as amount_in,
        max(activity.last_booked_on) as last_booked_on,
        max(
            case when activity.channel in {{ active }} then activity.last_booked_on end
        ) as last_active_on,
        max(
            case when activity.kind in {{ income }} then activity.last_booked_on end
        ) as last_income_on
    from {{ ref('base_account_activity') }} as activity
    cross join run
    where activity.month between run.month_from and run.month_to
    group by activity.account_id, activity.month
),

together as (
    select activity.*
    from {{ ref('base_account_activity') }} as activity
    cross join run
    where activity.month between run.month_from and run.month_to
    {{ clustered_by('activity.account_id, activity.month') }}
),

summed as (
    select
        activity.account_id,
        activity.month,
        sum(activity.amount) as booked_amount,
        sum(activity.bookings) as bookings,
        {%- for channel in booking_channels() + ['(none)'] %}
        sum(case when activity.channel = '{{ channel }}' then activity.bookings else 0 end)
            as bookings_{{ 'no_channel' if channel == '(none)' else channel }},
        {%- endfor %}
        {%- for group, kinds in booking_groups().items() %}
        sum(case when activity.kind in {{ quoted_list(kinds) }} then activity.bookings else 0 end)
            as bookings_{{ group }},
        {%- endfor %}
        sum(
            case
                when activity.kind not in {{ quoted_list(no_behaviour) }} then activity.amount_in
                else 0
            end
        ) as inflow,
        sum(
            case
                when activity.kind not in {{ quoted_list(no_behaviour) }}
                    then activity.amount_in - activity.amount
                else 0
            end
        ) as outflow,
        sum(
            case when activity.kind in {{ income }} then activity.amount else 0 end
        ) as income,
        sum(
            case when activity.kind = 'card_payment' then -activity.amount else 0 end
        ) as card_payments,
        sum(
            case when activity.kind = 'withdrawal' then -activity.amount else 0 end
        ) as cash_withdrawals,
        -- The payments made for a loan, not their receipt on the loan's own account.
        sum(
            case
                when activity.kind = 'loan_repayment' then activity.amount_in - activity.amount
                else 0
            end
        ) as loan_repayments,
        sum(
            case when activity.kind in ('purchase', 'sale') then -activity.amount else 0 end
        ) as net_invested,
        sum(
            case when activity.kind = 'interest_paid' then activity.amount else 0 end
        ) as interest_paid,
        sum(
            case when activity.kind = 'interest_charged' then activity.amount else 0 end
        ) as interest_charged,
        sum(
            case when activity.kind in ('fee', 'penalty') then activity.amount else 0 end
        ) as fees,
        {%- for kind in ['interest_paid', 'interest_charged'] %}
        sum(case when activity.kind = '{{ kind }}' then activity.foreign_amount else 0 end)
            as foreign_{{ kind }}{{ "," if not loop.last }}
        {%- endfor %}
    from together as activity
    group by activity.account_id, activity.month
),

-- Narrow for the join.
activity as (
    select
        account_id,
        month,
        cast(bookings as integer) as bookings,
        {%- for channel in booking_channels() + ['no_channel'] %}
        cast(bookings_{{ channel }} as integer) as bookings_{{ channel }},
        {%- endfor %}
        {%- for group in booking_groups() %}
        cast(bookings_{{ group }} as integer) as bookings_{{ group }},
        {%- endfor %}
        {%- for measure in measures %}
        cast({{ measure }} as decimal(18, 2)) as {{ measure }},
        {%- endfor %}
        cast(booked_amount as decimal(18, 2)) as booked_amount,
        cast(foreign_interest_paid as decimal(18, 2)) as foreign_interest_paid,
        cast(foreign_interest_charged as decimal(18, 2)) as foreign_interest_charged
    from summed
),
{%- if is_incremental() and continues_itself() %}

-- The state before the months refreshed, as the refresh that built it left it: nothing before the
-- window has changed. Without a month of the history before it, the delivered balance holds.
earlier as (
    select
        kept.account_id,
        cast(0 as decimal(18, 2)) as amount,
        max_by(coalesce(kept.foreign_closing_balance, kept.closing_balance), kept.month) as level,
        max(kept.last_booked_on) as last_booked_on,
        max(kept.last_active_on) as last_active_on,
        max(kept.last_income_on) as last_income_on
    from {{ this }} as kept
    cross join run
    where kept.month < run.month_from
    group by kept.account_id
),

earlier_level as (
    select
        account_id,
        level as amount
    from earlier
    where level is not null
    union all
    select
        delivered.account_id,
        delivered.closing_balance as amount
    from delivered_balance as delivered
    cross join run
    where delivered.month < run.month_from and run.month_from = run.first_month
),
{%- else %}

-- Part of a history built in parts: the months before it are read from the bookings.
earlier as (
    select
        txn.account_id,
        sum(txn.amount) as amount,
        max(txn.booked_on) as last_booked_on,
        max(case when txn.channel in {{ active }} then txn.booked_on end) as last_active_on,
        max(
            case when txn.kind in {{ income }} then txn.booked_on end
        ) as last_income_on
    from {{ ref('stg_transaction') }} as txn
    cross join run
    where txn.month < run.month_from
    group by txn.account_id
),

-- What a delivered balance before the months refreshed has beyond the bookings until then.
earlier_level as (
    select
        delivered.account_id,
        max(delivered.closing_balance) - coalesce(sum(txn.amount), 0) as amount
    from delivered_balance as delivered
    cross join run
    left join {{ ref('stg_transaction') }} as txn
        on delivered.account_id = txn.account_id and delivered.month >= txn.month
    where delivered.month < run.month_from
    group by delivered.account_id
),
{%- endif %}

loan_status as (
    select
        loan.account_id,
        status.month,
        max(status.days_past_due) as days_past_due,
        bool_or(status.defaulted) as is_defaulted
    from {{ ref('stg_loan_status') }} as status
    inner join {{ latest_extract(ref('stg_loan')) }} as loan on status.loan_id = loan.loan_id
    cross join run
    where status.month between run.month_from and run.month_to
    group by loan.account_id, status.month
),

-- From the month of opening to the month of closing. A booking outside this range also has a row;
-- otherwise the months would not sum to the records.
account_month as (
    select
        account.account_id,
        refreshed_month.month
    from account
    inner join refreshed_month
        on
            refreshed_month.month >= {{ month_of('account.opened_on') }}
            and refreshed_month.month <= coalesce(account.closed_on, refreshed_month.month)
    union
    select
        account_id,
        month
    from movement
),

-- A window keeps all columns of its rows: what else a row has is joined after it.
moved as (
    select
        account_month.account_id,
        account_month.month,
        cast(coalesce(movement.amount, 0) as decimal(18, 2)) as amount,
        cast(coalesce(movement.balance_day_amount, 0) as decimal(18, 2)) as balance_day_amount,
        cast(movement.amount_in as decimal(18, 2)) as amount_in,
        cast(sum(movement.amount) over so_far as decimal(18, 2)) as amount_so_far,
        max(movement.last_booked_on) over so_far as last_booked_on,
        max(movement.last_active_on) over so_far as last_active_on,
        max(movement.last_income_on) over so_far as last_income_on
    from account_month
    left join movement
        on
            account_month.account_id = movement.account_id
            and account_month.month = movement.month
    window so_far as (
        partition by account_month.account_id
        order by account_month.month
        rows between unbounded preceding and current row
    )
),

has_delivered as (
    select distinct delivered_balance.account_id
    from delivered_balance
    cross join run
    where delivered_balance.month >= run.month_from
),

running as (
    select
        moved.account_id,
        moved.month,
        moved.amount,
        moved.balance_day_amount,
        moved.amount_in,
        cast(
            coalesce(earlier.amount, 0) + coalesce(moved.amount_so_far, 0) as decimal(18, 2)
        ) as booked_so_far,
        coalesce(moved.last_booked_on, earlier.last_booked_on) as last_booked_on,
        coalesce(moved.last_active_on, earlier.last_active_on) as last_active_on,
        coalesce(moved.last_income_on, earlier.last_income_on) as last_income_on,
        has_delivered.account_id is not null as has_delivered,
        coalesce(
            earlier_level.amount,
            case
                when account.opened_on >= run.first_month then 0
                -- From the first booking's month on: no later row may change an earlier month.
                when moved.month >= brought.known_from then brought.opening_balance
            end
        ) as first_level
    from moved
    cross join run
    inner join account on moved.account_id = account.account_id
    left join earlier on moved.account_id = earlier.account_id
    left join earlier_level on moved.account_id = earlier_level.account_id
    left join {{ ref('base_opening_balance') }} as brought
        on moved.account_id = brought.account_id
    left join has_delivered on moved.account_id = has_delivered.account_id
),

-- What the balance has beyond the bookings: by the last delivered balance, or as brought forward.
levelled as (
    select
        running.*,
        delivered_balance.balance_day_sum as delivered_day_sum,
        coalesce(
            {{ known_value('last', level) }} over (
                partition by running.account_id order by running.month
                rows between unbounded preceding and current row
            ),
            running.first_level
        ) as level,
        coalesce(
            {{ known_value('last', level) }} over (
                partition by running.account_id order by running.month
                rows between unbounded preceding and 1 preceding
            ),
            running.first_level
        ) as level_before
    from running
    left join delivered_balance
        on
            running.account_id = delivered_balance.account_id
            and running.month = delivered_balance.month
    where running.has_delivered
    union all
    select
        running.*,
        cast(null as decimal(18, 2)) as delivered_day_sum,
        running.first_level as level,
        running.first_level as level_before
    from running
    where not running.has_delivered
),

dated as (
    select
        *,
        last_day(month) as month_end,
        day(last_day(month)) as days_in_month
    from levelled
),

balanced as (
    select
        *,
        booked_so_far + level as closing_balance,
        booked_so_far - amount + coalesce(level_before, level) as opening_balance,
        booked_so_far - amount + level as balance_before,
        (booked_so_far - amount + level) * days_in_month + balance_day_amount as booked_day_sum,
        coalesce(
            delivered_day_sum,
            (booked_so_far - amount + level) * days_in_month + balance_day_amount
        ) as balance_day_sum
    from dated
),

-- Where the bookings of one side alone cannot take the balance across zero, no day needs a look.
may_cross as (
    select
        account_id,
        month,
        balance_before,
        days_in_month
    from balanced
    where
        booked_day_sum is not null
        and (
            amount_in is null
            or (balance_before + amount_in > 0 and balance_before + amount - amount_in < 0)
        )
),

booked_day as (
    select
        txn.account_id,
        txn.month,
        txn.booked_on,
        sum(txn.amount) as amount,
        max(may_cross.balance_before) as balance_before,
        max(may_cross.days_in_month) as days_in_month
    from {{ ref('stg_transaction') }} as txn
    inner join may_cross
        on txn.account_id = may_cross.account_id and txn.month = may_cross.month
    cross join run
    where txn.month between run.month_from and run.month_to
    group by txn.account_id, txn.month, txn.booked_on
),

-- From each day with bookings until the next, the balance stands still.
stretch as (
    select
        account_id,
        month,
        booked_on,
        balance_before + sum(amount) over in_month as balance,
        coalesce(day(lead(booked_on) over in_month), days_in_month + 1) - day(booked_on) as days
    from booked_day
    window in_month as (partition by account_id, month order by booked_on)
),

below_zero as (
    select
        account_id,
        month,
        day(min(booked_on)) - 1 as days_before,
        sum(least(balance, 0) * days) as day_sum
    from stretch
    group by account_id, month
),

-- In the account's currency.
kept as (
    select
        balanced.*,
        case
            when balanced.balance_day_sum is null then null
            -- A delivered day sum that the bookings do not give has no sides.
            when balanced.balance_day_sum <> balanced.booked_day_sum
                then least(balanced.balance_day_sum, 0)
            when
                below_zero.account_id is null
                and balanced.balance_before + coalesce(balanced.amount_in, 0) <= 0
                then balanced.booked_day_sum
            else
                least(balanced.balance_before, 0)
                * coalesce(below_zero.days_before, balanced.days_in_month)
                + coalesce(below_zero.day_sum, 0)
        end as overdrawn_day_sum
    from balanced
    left join below_zero
        on balanced.account_id = below_zero.account_id and balanced.month = below_zero.month
),

in_bank_currency as (
    select
        kept.account_id,
        kept.month,
        kept.month_end,
        kept.days_in_month,
        kept.last_booked_on,
        kept.last_active_on,
        kept.last_income_on,
        {{ translated('kept.opening_balance', 'opening_rate') }} as opening_balance,
        {{ translated('kept.closing_balance', 'closing_rate') }} as closing_balance,
        {{ translated('kept.balance_day_sum', 'average_rate') }} as balance_day_sum,
        {{ translated('kept.overdrawn_day_sum', 'average_rate') }} as overdrawn_day_sum,
        -- What moved the balance beside its bookings.
        {{ translated(
            'kept.closing_balance - kept.opening_balance - kept.amount', 'average_rate'
        ) }} as not_booked,
        fx.currency,
        fx.average_rate,
        fx.closing_rate,
        {%- for amount, name in {
            'amount': 'booked_amount', 'closing_balance': 'closing_balance',
            'balance_day_sum': 'balance_day_sum', 'overdrawn_day_sum': 'overdrawn_day_sum',
        }.items() %}
        cast(
            case when fx.account_id is not null then kept.{{ amount }} end as decimal(18, 2)
        ) as foreign_{{ name }}{{ "," if not loop.last }}
        {%- endfor %}
    from kept
    left join {{ ref('base_account_rate') }} as fx
        on kept.account_id = fx.account_id and kept.month = fx.month
)

select
    balanced.account_id,
    balanced.month,
    version.product_id,
    version.product_line,
    version.branch_id,
    coalesce(version.interest_rate, version.loan_interest_rate) as interest_rate,
    {{ translated('version.credit_limit', 'closing_rate', 'balanced', 'currency') }}
        as credit_limit,
    coalesce(
        case
            when version.matures_on is not null
                then greatest({{ months_from_to(priced_on, 'version.matures_on') }}, 1)
        end,
        version.term_months,
        version.loan_term_months
    ) as term_months,
    {{ priced_on }} as priced_on,
    account.opened_on <= balanced.month_end
    and (account.closed_on is null or account.closed_on > balanced.month_end) as is_open,
    cast(balanced.days_in_month as integer) as days_in_month,
    cast(
        greatest(
            0,
            1 + {{ days_from_to(
                'greatest(account.opened_on, balanced.month)',
                'least(coalesce(account.closed_on, balanced.month_end), balanced.month_end)'
            ) }}
        ) as integer
    ) as days_open,
    balanced.closing_balance is not null as is_balance_known,
    coalesce(activity.booked_amount, 0) as booked_amount,
    balanced.opening_balance,
    balanced.closing_balance,
    balanced.balance_day_sum,
    balanced.overdrawn_day_sum,
    {{ from_cents(divide_units(units('balanced.balance_day_sum'), 'balanced.days_in_month')) }}
        as average_balance,
    coalesce(activity.bookings, 0) as bookings,
    {%- for channel in booking_channels() + ['no_channel'] %}
    coalesce(activity.bookings_{{ channel }}, 0) as bookings_{{ channel }},
    {%- endfor %}
    {%- for group in booking_groups() %}
    coalesce(activity.bookings_{{ group }}, 0) as bookings_{{ group }},
    {%- endfor %}
    {%- for measure in measures %}
    coalesce(activity.{{ measure }}, 0) as {{ measure }},
    {%- endfor %}
    balanced.last_booked_on,
    balanced.last_active_on,
    balanced.last_income_on,
    cast(loan_status.days_past_due as integer) as days_past_due,
    loan_status.is_defaulted,
    balanced.currency,
    balanced.average_rate,
    balanced.closing_rate,
    cast(
        balanced.closing_balance - balanced.opening_balance - balanced.not_booked
        - coalesce(activity.booked_amount, 0) as decimal(18, 2)
    ) as revaluation,
    balanced.foreign_booked_amount,
    balanced.foreign_closing_balance,
    balanced.foreign_balance_day_sum,
    balanced.foreign_overdrawn_day_sum,
    {%- for kind in ['interest_paid', 'interest_charged'] %}
    cast(
        case when balanced.currency is not null then coalesce(activity.foreign_{{ kind }}, 0) end
        as decimal(18, 2)
    ) as foreign_{{ kind }}{{ "," if not loop.last }}
    {%- endfor %}
from in_bank_currency as balanced
inner join account on balanced.account_id = account.account_id
inner join version
    on
        balanced.account_id = version.account_id
        and balanced.month >= version.valid_from
        and (version.valid_to is null or balanced.month < version.valid_to)
left join activity
    on balanced.account_id = activity.account_id and balanced.month = activity.month
left join loan_status
    on balanced.account_id = loan_status.account_id and balanced.month = loan_status.month
