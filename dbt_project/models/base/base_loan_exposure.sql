{{ config(materialized='incremental') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

loan as (
    select * from {{ latest_extract(ref('stg_loan')) }} as latest
),

account_month as (
    select
        account_month.account_id,
        account_month.month,
        account_month.product_line in {{ quoted_list(product_lines('is_credit')) }} as is_credit,
        greatest(-account_month.closing_balance, 0) as owed
    from {{ ref('base_account_month') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
),

status as (
    select
        status.month,
        loan.account_id,
        status.outstanding
    from {{ ref('stg_loan_status') }} as status
    inner join loan on status.loan_id = loan.loan_id
    cross join run
    where status.month between run.month_from and run.month_to
),

-- A month in which any loan has a status is one in which the bank delivered it.
delivered_month as (
    select distinct month from status
),

delivered as (
    select
        account_id,
        month,
        count(*) as loans,
        sum(outstanding) as outstanding
    from status
    where outstanding > 0
    group by account_id, month
),

-- Without a status: what was lent, until the end of the term, less what was paid since. Where
-- balances are debt by nature, they are the loan.
lent as (
    select
        account_month.account_id,
        account_month.month,
        count(*) as loans,
        sum(loan.principal) as principal,
        min(loan.granted_on) as granted_on
    from account_month
    inner join loan
        on
            account_month.account_id = loan.account_id
            and loan.granted_on <= last_day(account_month.month)
            and coalesce(
                {{ months_later('loan.granted_on', 'loan.term_months') }} > account_month.month,
                true
            )
    left join delivered_month on account_month.month = delivered_month.month
    where not account_month.is_credit and delivered_month.month is null
    group by account_month.account_id, account_month.month
),

repaid as (
    select
        lent.account_id,
        lent.month,
        -sum(txn.amount) as amount
    from lent
    inner join {{ ref('stg_transaction') }} as txn
        on
            lent.account_id = txn.account_id
            and lent.granted_on <= txn.booked_on
            and lent.month >= txn.month
    where txn.kind = 'loan_repayment' and txn.amount < 0
    group by lent.account_id, lent.month
),

stated as (
    select
        account_id,
        month,
        loans,
        outstanding,
        'loan_status' as basis
    from delivered
    union all
    select
        lent.account_id,
        lent.month,
        lent.loans,
        lent.principal - coalesce(repaid.amount, 0) as outstanding,
        'principal' as basis
    from lent
    left join repaid on lent.account_id = repaid.account_id and lent.month = repaid.month
),

owed as (
    select
        stated.account_id,
        stated.month,
        stated.loans,
        {{ translated('stated.outstanding', 'closing_rate') }} as outstanding,
        stated.basis
    from stated
    left join {{ ref('base_account_rate') }} as fx
        on stated.account_id = fx.account_id and stated.month = fx.month
),

-- A balance that is debt by nature carries the loans wholly or in part; another is money beside.
beside as (
    select
        owed.*,
        owed.outstanding
        - case when account_month.is_credit then account_month.owed else 0 end as not_in_balance
    from owed
    inner join account_month
        on owed.account_id = account_month.account_id and owed.month = account_month.month
)

select
    account_id,
    month,
    cast(loans as integer) as loans,
    cast(outstanding as decimal(18, 2)) as outstanding,
    cast(not_in_balance as decimal(18, 2)) as not_in_balance,
    basis
from beside
where not_in_balance > 0
