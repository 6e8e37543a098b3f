{{ config(materialized='incremental') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

ledger as (
    select
        ledger.month,
        ledger.branch_id,
        ledger.product_line,
        ledger.ledger_account,
        sum(ledger.amount) as amount
    from {{ ref('stg_ledger') }} as ledger
    cross join run
    where
        ledger.month between run.month_from and run.month_to
        -- Charged by rates and pools, not booked on accounts.
        and ledger.ledger_account <> 'operating_cost'
    group by ledger.month, ledger.branch_id, ledger.product_line, ledger.ledger_account
),

ledger_month as (
    select distinct month from ledger
),

-- An item is compared in the months whose ledger has it.
ledger_item as (
    select distinct
        month,
        ledger_account
    from ledger
),

item as (
    select
        result.month,
        result.branch_id,
        result.product_line,
        result.item as ledger_account,
        sum(result.amount) as amount
    from {{ ref('base_account_result') }} as result
    inner join ledger_item
        on result.month = ledger_item.month and result.item = ledger_item.ledger_account
    group by result.month, result.branch_id, result.product_line, result.item
),

-- In the ledger's own signs: what the bank earns and pays is positive, balances are the customers'.
account as (
    select
        month,
        coalesce(branch_id, '(none)') as branch_id,
        product_line,
        -interest_charged as interest_income,
        interest_paid as interest_expense,
        -fees as fee_income,
        closing_balance as customer_balance
    from {{ ref('base_account_month') }}
    {{- bookings_before_moves() }}
),

total as (
    select
        account.month,
        account.branch_id,
        account.product_line,
        sum(account.interest_income) as interest_income,
        sum(account.interest_expense) as interest_expense,
        sum(account.fee_income) as fee_income,
        sum(account.customer_balance) as customer_balance
    from account
    inner join ledger_month on account.month = ledger_month.month
    group by account.month, account.branch_id, account.product_line
),

booked as (
    {%- for name in booked_accounts() %}
    select
        month,
        branch_id,
        product_line,
        '{{ name }}' as ledger_account,
        {{ name }} as amount
    from total
    union all
    {%- endfor %}
    select * from item
),

-- In the months, and of the items, that are compared.
adjusted as (
    select
        adjustment.month,
        adjustment.branch_id,
        adjustment.product_line,
        adjustment.item as ledger_account,
        adjustment.amount
    from {{ ref('base_adjustment') }} as adjustment
    inner join ledger_month on adjustment.month = ledger_month.month
    left join ledger_item
        on
            adjustment.month = ledger_item.month
            and adjustment.item = ledger_item.ledger_account
    where
        ledger_item.month is not null
        or adjustment.item in {{ quoted_list(booked_accounts()) }}
),

stated as (
    select
        *,
        0 as booked,
        0 as adjustment,
        amount as ledger,
        true as is_in_ledger
    from ledger
    union all
    select
        *,
        amount as booked,
        0 as adjustment,
        0 as ledger,
        false as is_in_ledger
    from booked
    union all
    select
        *,
        0 as booked,
        amount as adjustment,
        0 as ledger,
        false as is_in_ledger
    from adjusted
),

compared as (
    select
        month,
        branch_id,
        product_line,
        ledger_account,
        sum(booked) as booked,
        sum(adjustment) as adjustment,
        sum(ledger) as ledger,
        bool_or(is_in_ledger) as is_in_ledger
    from stated
    group by month, branch_id, product_line, ledger_account
),

-- The row that applies: for the ledger account before all accounts, for the line before all lines.
tolerance as (
    select
        compared.month,
        compared.branch_id,
        compared.product_line,
        compared.ledger_account,
        given.tolerance
    from compared
    inner join {{ ref('ledger_tolerance') }} as given
        on
            compared.month >= given.effective_from
            and given.product_line in ('*', compared.product_line)
            and given.ledger_account in ('*', compared.ledger_account)
    qualify
        row_number() over (
            partition by
                compared.month, compared.branch_id, compared.product_line, compared.ledger_account
            order by
                case when given.ledger_account = '*' then 1 else 0 end,
                case when given.product_line = '*' then 1 else 0 end,
                given.effective_from desc
        ) = 1
)

select
    compared.month,
    compared.branch_id,
    compared.product_line,
    compared.ledger_account,
    cast(compared.booked as decimal(18, 2)) as booked,
    cast(compared.adjustment as decimal(18, 2)) as adjustment,
    cast(compared.ledger as decimal(18, 2)) as ledger,
    cast(compared.booked + compared.adjustment - compared.ledger as decimal(18, 2)) as difference,
    cast(coalesce(tolerance.tolerance, 0) as decimal(18, 2)) as tolerance
from compared
left join tolerance
    on
        compared.month = tolerance.month
        and compared.branch_id = tolerance.branch_id
        and compared.product_line = tolerance.product_line
        and compared.ledger_account = tolerance.ledger_account
where compared.is_in_ledger or compared.booked <> 0 or compared.adjustment <> 0
