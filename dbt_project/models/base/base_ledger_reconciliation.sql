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
    where ledger.month between run.month_from and run.month_to
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
total as (
    select
        account_month.month,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.product_line,
        -sum(account_month.interest_charged) as interest_income,
        sum(account_month.interest_paid) as interest_expense,
        -sum(account_month.fees) as fee_income,
        sum(account_month.closing_balance) as customer_balance
    from {{ ref('base_account_month') }} as account_month
    inner join ledger_month on account_month.month = ledger_month.month
    group by
        account_month.month, coalesce(account_month.branch_id, '(none)'),
        account_month.product_line
),

booked as (
    {%- for name in ['interest_income', 'interest_expense', 'fee_income', 'customer_balance'] %}
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

compared as (
    select
        coalesce(ledger.month, booked.month) as month,
        coalesce(ledger.branch_id, booked.branch_id) as branch_id,
        coalesce(ledger.product_line, booked.product_line) as product_line,
        coalesce(ledger.ledger_account, booked.ledger_account) as ledger_account,
        coalesce(booked.amount, 0) as booked,
        coalesce(ledger.amount, 0) as ledger,
        ledger.month is not null as is_in_ledger
    from ledger
    full outer join booked
        on
            ledger.month = booked.month
            and ledger.branch_id = booked.branch_id
            and ledger.product_line = booked.product_line
            and ledger.ledger_account = booked.ledger_account
)

select
    month,
    branch_id,
    product_line,
    ledger_account,
    cast(booked as decimal(18, 2)) as booked,
    cast(ledger as decimal(18, 2)) as ledger,
    cast(booked - ledger as decimal(18, 2)) as difference
from compared
where is_in_ledger or booked <> 0
