with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- Money deposited, or lent to accounts that are not in default, all month on that side of zero.
-- What is owed on cards is left out: paid in time, it is free of interest.
account_month as (
    select
        valued.*,
        abs(valued.average_balance) - valued.funded_by_capital as priced_balance,
        valued.curve_tenor is not null as has_term,
        valued.product_line in {{ quoted_list(product_lines('deposit_rate')) }} as is_paid
    from {{ ref('value_account_month') }} as valued
    inner join {{ ref('value_product_parameter') }} as parameter
        on
            valued.product_id = parameter.product_id
            and valued.month = parameter.month
    cross join run
    where
        valued.month between run.month_from and run.month_to
        and valued.product_line in {{ quoted_list(
            product_lines('deposit_rate') + product_lines('holds_loans')
        ) }}
        and valued.overdrawn_price is null
        and coalesce(valued.stage, 1) < 3
        and parameter.is_funded
)

select
    month,
    product_line,
    curve_currency,
    has_term,
    is_paid,
    cast(count(*) as integer) as accounts,
    cast(sum(abs(average_balance)) as decimal(18, 2)) as balance,
    cast(
        sum(case when is_paid then interest_expense else interest_income end) as decimal(18, 2)
    ) as interest,
    -- At the price of the whole balance, also of what capital funds.
    cast(sum({{ from_cents(divide_units(
        '(' ~ units('abs(transfer_result)') ~ ' * ' ~ units('abs(average_balance)') ~ ')',
        units('priced_balance')
    )) }}) as decimal(18, 2)) as transferred
from account_month
where case when is_paid then 1 else -1 end * average_balance > 0 and priced_balance > 0
group by month, product_line, curve_currency, has_term, is_paid
