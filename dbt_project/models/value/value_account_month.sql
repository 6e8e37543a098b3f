with run as (
    select * from {{ ref('base_refresh_window') }}
),

account_month as (
    select
        account_month.*,
        account_month.balance_day_sum < 0 and account_month.product_line = 'deposits'
            as is_overdrawn,
        case
            when account_month.closing_balance < 0 then -account_month.closing_balance else 0
        end as exposure
    from {{ ref('base_account_month') }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
),

priced_month as (
    select
        *,
        -- Money that a deposits account owes is lent: it pays the lending price.
        case when is_overdrawn then 'lending' else product_line end as priced_line,
        case when is_overdrawn then 0 else coalesce(term_months, 0) end as priced_term
    from account_month
),

tenor as (
    select
        product_line,
        term_months_from,
        lead(term_months_from) over (partition by product_line order by term_months_from)
            as term_months_till
    from {{ ref('transfer_price') }}
    group by product_line, term_months_from
),

transfer_price as (
    select
        price.product_line,
        price.term_months_from,
        tenor.term_months_till,
        price.annual_rate,
        price.effective_from,
        lead(price.effective_from) over (
            partition by price.product_line, price.term_months_from order by price.effective_from
        ) as effective_till
    from {{ ref('transfer_price') }} as price
    inner join tenor
        on
            price.product_line = tenor.product_line
            and price.term_months_from = tenor.term_months_from
),

unit_cost as (
    select * from {{ ref('activity_unit_cost') }}
),

activity_cost as (
    select
        activity.account_id,
        activity.month,
        sum(activity.bookings * coalesce(by_kind.unit_cost, by_channel.unit_cost, 0)) as cost
    from {{ ref('base_account_activity') }} as activity
    cross join run
    left join unit_cost as by_kind
        on activity.channel = by_kind.channel and activity.kind = by_kind.kind
    left join unit_cost as by_channel
        on activity.channel = by_channel.channel and by_channel.kind = '*'
    where activity.month between run.month_from and run.month_to
    group by activity.account_id, activity.month
),

measured as (
    select
        account_month.account_id,
        account_month.month,
        account_month.product_id,
        account_month.product_line,
        account_month.branch_id,
        account_month.average_balance,
        account_month.closing_balance,
        {{ from_cents(divide_units(
            units('account_month.balance_day_sum')
            ~ ' * ' ~ units('coalesce(transfer_price.annual_rate, 0)', 6),
            '(365 * 1000000)'
        )) }} as transfer_result,
        account_month.interest_paid + account_month.interest_charged as customer_interest,
        -account_month.fees as fee_income,
        coalesce(activity_cost.cost, 0)
        + case
            when account_month.days_open > 0 then coalesce(maintenance.monthly_cost, 0) else 0
        end as cost,
        {{ from_cents(divide_units(
            units('cast(account_month.exposure as decimal(18, 2))')
            ~ ' * ' ~ units('coalesce(rating.pd_annual, 0)', 6)
            ~ ' * ' ~ units('coalesce(loss.lgd, 0)', 6),
            '(12 * 1000000000000)'
        )) }} as expected_loss
    from priced_month as account_month
    left join transfer_price
        on
            account_month.priced_line = transfer_price.product_line
            and account_month.priced_term >= transfer_price.term_months_from
            and account_month.priced_term < coalesce(transfer_price.term_months_till, 100000)
            and account_month.month >= transfer_price.effective_from
            and (
                transfer_price.effective_till is null
                or account_month.month < transfer_price.effective_till
            )
    left join activity_cost
        on
            account_month.account_id = activity_cost.account_id
            and account_month.month = activity_cost.month
    left join {{ ref('account_maintenance_cost') }} as maintenance
        on account_month.product_line = maintenance.product_line
    left join {{ ref('risk_rating') }} as rating
        on
            coalesce(account_month.days_past_due, 0) >= rating.days_past_due_from
            and (
                rating.days_past_due_to is null
                or coalesce(account_month.days_past_due, 0) <= rating.days_past_due_to
            )
    left join {{ ref('loss_given_default') }} as loss
        on account_month.product_line = loss.product_line
),

costed as (
    select
        *,
        cast(transfer_result - customer_interest as decimal(18, 2)) as net_interest_margin,
        {{ to_money('cost') }} as direct_cost
    from measured
)

select
    account_id,
    month,
    product_id,
    product_line,
    branch_id,
    average_balance,
    closing_balance,
    net_interest_margin,
    cast(fee_income as decimal(18, 2)) as fee_income,
    direct_cost,
    expected_loss,
    cast(net_interest_margin + fee_income - direct_cost - expected_loss as decimal(18, 2))
        as contribution_margin
from costed
