{{ config(meta={'dagster': {'ref': {'name': 'base_customer_month'}}}) }}
-- The balances of owned accounts are split over their owners to the cent.
with owned as (
    select distinct account_id
    from {{ ref('base_account_holder') }}
    where is_beneficial
),

by_account as (
    select
        account_month.month,
        sum(account_month.closing_balance) as balance
    from {{ ref('base_account_month') }} as account_month
    inner join owned on account_month.account_id = owned.account_id
    group by account_month.month
),

by_customer as (
    select
        month,
        sum(
            {%- for line in product_lines() %}
            {% if not loop.first %}+ {% endif %}coalesce(balance_{{ line }}, 0)
            {%- endfor %}
        ) as balance
    from {{ ref('base_customer_month') }}
    group by month
)

select
    by_account.month,
    by_account.balance,
    by_customer.balance as customer_balance
from by_account
full outer join by_customer on by_account.month = by_customer.month
where coalesce(by_account.balance, 0) <> coalesce(by_customer.balance, 0)
