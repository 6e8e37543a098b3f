{{ config(materialized='view') }}

-- Rows of other currencies only: a bank with one currency has none.
with run as (
    select * from {{ ref('base_refresh_window') }}
),

rate as (
    select * from {{ ref('stg_fx_rate') }}
),

rated as (
    select distinct currency from rate
),

refreshed_month as (
    {{ each_month('run', 'month_from', 'month_to') }}
)

select
    account.account_id,
    refreshed_month.month,
    account.currency,
    -- Before the first rate nothing is revalued.
    coalesce(before.closing_rate, this.average_rate) as opening_rate,
    this.average_rate,
    this.closing_rate
from {{ latest_extract(ref('stg_account')) }} as account
inner join rated on account.currency = rated.currency
cross join refreshed_month
left join rate as this
    on account.currency = this.currency and refreshed_month.month = this.month
left join rate as before
    on
        account.currency = before.currency
        and {{ months_later('refreshed_month.month', -1) }} = before.month
