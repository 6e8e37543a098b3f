with run as (
    select * from {{ ref('base_refresh_window') }}
),

account as (
    select * from {{ latest_extract(ref('stg_account')) }} as latest
),

product as (
    select * from {{ latest_extract(ref('stg_product')) }} as latest
),

booking as (
    select * from {{ ref('stg_transaction') }}
),

booked as (
    select
        account_id,
        sum(amount) as amount,
        count(*) as transaction_count,
        min(booked_on) as first_booked_on,
        max(booked_on) as last_booked_on
    from booking
    group by account_id
),

last_delivered as (
    select
        delivered.account_id,
        delivered.closing_balance - sum(coalesce(booking.amount, 0)) as amount
    from (
        select *
        from {{ ref('stg_account_balance') }}
        qualify row_number() over (partition by account_id order by month desc) = 1
    ) as delivered
    left join booking
        on delivered.account_id = booking.account_id and delivered.month >= booking.month
    group by delivered.account_id, delivered.closing_balance
),

-- What the balance has beyond the bookings of the history: by the last delivered balance, or as
-- brought forward.
balance as (
    select
        account.account_id,
        coalesce(
            last_delivered.amount,
            brought.opening_balance,
            case
                when
                    account.opened_on >= run.first_month or account.closed_on < run.first_month
                    then 0
            end
        ) as opening_balance,
        coalesce(booked.amount, 0) as booked_amount,
        coalesce(booked.transaction_count, 0) as transaction_count,
        booked.first_booked_on,
        booked.last_booked_on
    from account
    cross join run
    left join booked on account.account_id = booked.account_id
    left join last_delivered on account.account_id = last_delivered.account_id
    left join {{ ref('base_opening_balance') }} as brought
        on account.account_id = brought.account_id
),

-- Bookings of one day have no order: one of the last day's balances is the bank's closing balance.
reported as (
    select
        balance.account_id,
        min_by(
            booking.balance_after,
            abs(booking.balance_after - balance.opening_balance - balance.booked_amount)
        ) as reported_balance
    from balance
    inner join booking
        on
            balance.account_id = booking.account_id
            and balance.last_booked_on = booking.booked_on
    where booking.balance_after is not null
    group by balance.account_id
),

holding as (
    select
        account_id,
        count(*) as holders,
        max(holder_count) as beneficial_holders
    from {{ ref('base_account_holder') }}
    group by account_id
),

loan_status as (
    select
        loan.account_id,
        max(status.days_past_due) as days_past_due
    from {{ ref('stg_loan_status') }} as status
    inner join {{ latest_extract(ref('stg_loan')) }} as loan on status.loan_id = loan.loan_id
    cross join run
    where status.month = run.as_of_month
    group by loan.account_id
)

select
    account.account_id,
    account.product_id,
    product.product_name,
    product.product_line,
    account.branch_id,
    account.opened_on,
    account.closed_on,
    account.closed_on is null as is_open,
    account.currency,
    account.interest_rate,
    account.credit_limit,
    account.term_months,
    coalesce(
        account.matures_on, {{ months_later('account.opened_on', 'account.term_months') }}
    ) as matures_on,
    cast(balance.booked_amount as decimal(18, 2)) as booked_amount,
    cast(balance.opening_balance as decimal(18, 2)) as opening_balance,
    cast(balance.opening_balance + balance.booked_amount as decimal(18, 2)) as closing_balance,
    cast(reported.reported_balance as decimal(18, 2)) as reported_balance,
    cast(balance.transaction_count as integer) as transaction_count,
    balance.first_booked_on,
    balance.last_booked_on,
    cast(coalesce(holding.holders, 0) as integer) as holders,
    cast(coalesce(holding.beneficial_holders, 0) as integer) as beneficial_holders,
    cast(loan_status.days_past_due as integer) as days_past_due
from account
inner join product on account.product_id = product.product_id
inner join balance on account.account_id = balance.account_id
left join reported on account.account_id = reported.account_id
left join holding on account.account_id = holding.account_id
left join loan_status on account.account_id = loan_status.account_id
