{#- What accounts in a currency were paid or charged beside the transfer price of the same balances, by side, period
    of the curve and, where asked for, product and point of the curve. The accounts are those of
    value.customer_rate. A term belongs to the month at whose curve it is priced, other balances to
    their own month. -#}
with line as (
    select distinct
        product_line,
        is_paid
    from value.customer_rate
),

observed as (
    select
        valued.account_id,
        valued.month,
        {{ product }} as product_id,
        line.is_paid,
        valued.curve_tenor is not null as has_term,
        coalesce(valued.curve_month, valued.month) as priced_month,
        {{ point }} as tenor_months,
        abs(valued.average_balance)::double as balance,
        -- At the price of the whole balance, also of what capital funds.
        abs(valued.transfer_result)::double * abs(valued.average_balance)::double
        / (abs(valued.average_balance) - valued.funded_by_capital)::double as transferred,
        case when line.is_paid then valued.interest_expense else valued.interest_income end::double
            as interest,
        case
            when line.is_paid then 0
            else valued.expected_loss - valued.provision_change - valued.realised_loss
        end::double as loss
    from value.account_month as valued
    inner join line on valued.product_line = line.product_line
    inner join value.product_parameter as parameter
        on valued.product_id = parameter.product_id and valued.month = parameter.month
    inner join base.account_month as held
        on valued.account_id = held.account_id and valued.month = held.month
    where
        valued.overdrawn_price is null
        and coalesce(held.currency, '') = $currency
        and coalesce(valued.stage, 1) < 3
        and parameter.is_funded
        and case when line.is_paid then 1 else -1 end * valued.average_balance > 0
        and abs(valued.average_balance) > valued.funded_by_capital
        and ($products is null or valued.product_id in (select unnest($products)))
),

period as (
    select
        starts_on,
        coalesce(lead(starts_on) over (order by starts_on), date '9999-01-01') as ends_before
    from unnest($periods) as given (starts_on)
),

by_account as (
    select
        observed.account_id,
        observed.product_id,
        observed.is_paid,
        observed.has_term,
        observed.tenor_months,
        period.starts_on,
        sum(observed.balance) as balance,
        sum(observed.interest) as interest,
        sum(observed.loss) as loss,
        sum(observed.transferred) as transferred,
        count(*) as account_months,
        list(distinct observed.month) as months
    from observed
    inner join period
        on
            period.starts_on <= observed.priced_month
            and period.ends_before > observed.priced_month
    group by all
),

rated as (
    select
        *,
        12 * sum(interest) over grouped / sum(balance) over grouped as rate
    from by_account
    window grouped as (partition by product_id, is_paid, has_term, tenor_months, starts_on)
)

select
    product_id,
    is_paid,
    has_term,
    tenor_months,
    starts_on,
    count(*) as accounts,
    sum(account_months)::bigint as account_months,
    len(list_distinct(flatten(list(months)))) as months,
    sum(balance) as balance,
    any_value(rate) as rate,
    12 * sum(loss) / sum(balance) as loss_rate,
    12 * sum(transferred) / sum(balance) as transfer_price,
    -- Of a ratio of sums over accounts: the spread of the accounts around the rate of all.
    sqrt(count(*) / nullif(count(*) - 1, 0) * sum((12 * interest - rate * balance) ** 2))
    / sum(balance) as standard_error,
    quantile_cont(12 * interest / balance, 0.25) as lower_quartile,
    quantile_cont(12 * interest / balance, 0.75) as upper_quartile
from rated
group by all
order by all
