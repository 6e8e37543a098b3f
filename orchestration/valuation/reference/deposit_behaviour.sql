{#- Deposits without a term by product: sums over the accounts of balances twelve months apart, what
    the same accounts hold from month to month, and the rate paid beside the curve's at one month.
    What an account no longer holds in the product counts as gone, also where it got a term. The
    balances are those of accounts opened a year before or earlier; their first months would show
    how accounts are filled. They are in one currency, untranslated: that of most of the product's
    balances, with the curve that prices it. -#}
with history as (
    select max(month) as last_month from value.account_month
),

by_currency as (
    select
        valued.product_id,
        valued.curve_currency,
        base_month.currency,
        sum(valued.average_balance) as balance
    from value.account_month as valued
    inner join base.account_month as base_month
        on valued.account_id = base_month.account_id and valued.month = base_month.month
    where valued.average_balance > 0
    group by valued.product_id, valued.curve_currency, base_month.currency
),

main_currency as (
    select
        product_id,
        curve_currency,
        currency
    from by_currency
    qualify
        row_number() over (
            partition by product_id order by balance desc, currency nulls first
        ) = 1
),

held as (
    select
        valued.account_id,
        valued.product_id,
        valued.product_line,
        valued.curve_currency,
        valued.month,
        greatest(valued.average_balance, 0)::double / coalesce(base_month.average_rate, 1)
            as balance,
        greatest(valued.average_balance, 0)::double * day(last_day(valued.month)) as day_sum,
        valued.interest_expense::double * parameter.day_count as paid,
        account.opened_on + interval 12 month <= valued.month as is_mature,
        valued.overdrawn_price is null and valued.average_balance > 0 as is_rated
    from value.account_month as valued
    inner join base.account as account on valued.account_id = account.account_id
    inner join value.product_parameter as parameter
        on valued.product_id = parameter.product_id and valued.month = parameter.month
    inner join base.account_month as base_month
        on valued.account_id = base_month.account_id and valued.month = base_month.month
    inner join main_currency
        on
            valued.product_id = main_currency.product_id
            and base_month.currency is not distinct from main_currency.currency
    where
        valued.product_line in (select product_line from value.customer_rate where is_paid)
        and parameter.is_funded
        and valued.curve_tenor is null
        and valued.average_balance is not null
),

pair as (
    select
        held.account_id,
        held.product_id,
        held.month,
        apart.months as apart,
        held.balance as earlier,
        coalesce(later.balance, 0) as later
    from held
    cross join history
    cross join (values (1), (12)) as apart (months)
    left join held as later
        on
            held.account_id = later.account_id
            and held.product_id = later.product_id
            and later.month = held.month + to_months(apart.months)
    where held.is_mature and held.month + to_months(apart.months) <= history.last_month
),

by_account as (
    select
        product_id,
        sum(earlier) as earlier,
        sum(later) as later
    from pair
    where apart = 12
    group by product_id, account_id
    having sum(earlier) > 0
),

apart_by_product as (
    select
        product_id,
        count(*) as accounts,
        sum(earlier) as x,
        sum(later) as y,
        sum(earlier * earlier) as xx,
        sum(earlier * later) as xy,
        sum(later * later) as yy
    from by_account
    group by product_id
),

same_by_month as (
    select
        product_id,
        month,
        sum(earlier) as earlier,
        sum(later) as later
    from pair
    where apart = 1
    group by product_id, month
    having sum(earlier) > 0
),

same_by_product as (
    select
        product_id,
        list(month order by month) as growth_months,
        list(earlier order by month) as earlier,
        list(later order by month) as later
    from same_by_month
    group by product_id
),

rated as (
    select
        product_id,
        curve_currency,
        month,
        sum(paid) / sum(day_sum) as rate
    from held
    where is_rated
    group by product_id, curve_currency, month
),

rated_by_product as (
    select
        rated.product_id,
        list(rated.month order by rated.month) as months,
        list(rated.rate order by rated.month) as paid,
        list(curve.annual_rate::double order by rated.month) as market
    from rated
    inner join value.transfer_curve as curve
        on rated.curve_currency = curve.currency and rated.month = curve.month
    where curve.tenor_months = 1
    group by rated.product_id
),

company_account as (
    select distinct holder.account_id
    from base.account_holder as holder
    inner join base.customer as customer on holder.customer_id = customer.customer_id
    where holder.role = 'owner' and customer.customer_kind = 'corporate'
),

product as (
    select
        held.product_id,
        max(held.product_line) as product_line,
        coalesce(sum(held.balance) filter (where company_account.account_id is not null), 0)
        / sum(held.balance) as company_share
    from held
    left join company_account on held.account_id = company_account.account_id
    group by held.product_id
    having sum(held.balance) > 0
)

select
    product.product_id,
    product.product_line,
    product.company_share,
    coalesce(apart_by_product.accounts, 0) as accounts,
    apart_by_product.x,
    apart_by_product.y,
    apart_by_product.xx,
    apart_by_product.xy,
    apart_by_product.yy,
    coalesce(same_by_product.growth_months, []) as growth_months,
    coalesce(same_by_product.earlier, []) as earlier,
    coalesce(same_by_product.later, []) as later,
    coalesce(rated_by_product.months, []) as months,
    coalesce(rated_by_product.paid, []) as paid,
    coalesce(rated_by_product.market, []) as market
from product
left join apart_by_product on product.product_id = apart_by_product.product_id
left join same_by_product on product.product_id = same_by_product.product_id
left join rated_by_product on product.product_id = rated_by_product.product_id
order by product.product_id
