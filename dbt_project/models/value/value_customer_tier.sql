-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:LT02,ST05,ST06,RF04
with run as (
    select * from {{ ref('base_refresh_window') }}
),

refreshed_month as (
    {{ each_month('run', 'month_from', 'month_to') }}
),

-- The margin of an account without a known balance is not known, nor is its holders' profit.
unpriced as (
    select distinct
        holder.customer_id,
        account_month.month
    from {{ ref('value_account_month') }} as account_month
    cross join run
    inner join {{ ref('base_account_holder') }} as holder
        on account_month.account_id = holder.account_id
    where
        account_month.closing_balance is null
        and holder.is_beneficial
        and account_month.month > {{ months_later('run.month_from', '-12') }}
        and account_month.month <= run.month_to
),

-- Twelve months, or fewer if the history is shorter.
twelve_months as (
    select
        profit.customer_id,
        refreshed_month.month,
        sum(profit.contribution_margin) as contribution_margin_12m,
        sum(profit.economic_profit) as economic_profit_12m,
        count(unpriced.month) = 0 as is_priced
    from refreshed_month
    inner join {{ ref('value_profit_by_customer') }} as profit
        on
            refreshed_month.month >= profit.month
            and profit.month > {{ months_later('refreshed_month.month', '-12') }}
    left join unpriced
        on profit.customer_id = unpriced.customer_id and profit.month = unpriced.month
    where profit.customer_id <> '(none)'
    group by profit.customer_id, refreshed_month.month
    -- A customer without an account in the month has no row in it.
    having max(profit.month) = refreshed_month.month
),

placed as (
    select
        *,
        row_number() over (
            partition by month, is_priced order by contribution_margin_12m desc, customer_id asc
        ) as contribution_place,
        row_number() over (
            partition by month, is_priced order by economic_profit_12m desc, customer_id asc
        ) as profit_place,
        count(*) over (partition by month, is_priced) as customers,
        sum(case when contribution_margin_12m > 0 then 1 else 0 end) over (
            partition by month, is_priced
        ) as profitable
    from twelve_months
),

tier as (
    select
        in_force.*,
        -- The share of the profitable customers up to and with this tier.
        {{ units(
            'sum(customer_share) over (partition by month order by tier_number)', 6
        ) }} as share_to
    from {{ in_force(ref('tier_scheme'), [], 'refreshed_month') }} as in_force
),

bounded as (
    select
        month,
        tier,
        tier_number,
        customer_share is null as is_unprofitable,
        share_to,
        coalesce(lag(share_to) over (partition by month order by tier_number), 0) as share_from
    from tier
)

select
    placed.customer_id,
    placed.month,
    coalesce(bounded.tier, '(not priced)') as tier,
    bounded.tier_number,
    cast(placed.contribution_margin_12m as decimal(18, 2)) as contribution_margin_12m,
    cast(placed.economic_profit_12m as decimal(18, 2)) as economic_profit_12m,
    -- The first percentile and decile are the most profitable: place x 100 / customers, rounded up.
    {%- for rank, parts in {'percentile': '100', 'decile': '10'}.items() %}
    case
        when placed.is_priced
            then cast(
                {{ whole_share(
                    'placed.profit_place * ' ~ parts ~ ' + placed.customers - 1', 'placed.customers'
                ) }} as integer
            )
    end as {{ rank }}{{ "," if not loop.last }}
    {%- endfor %}
from placed
left join bounded
    on
        placed.is_priced
        and placed.month = bounded.month
        and (
            (bounded.is_unprofitable and placed.contribution_margin_12m <= 0)
            or (
                not bounded.is_unprofitable
                and placed.contribution_margin_12m > 0
                and placed.contribution_place * 1000000 > bounded.share_from * placed.profitable
                and placed.contribution_place * 1000000 <= bounded.share_to * placed.profitable
            )
        )
-- GV finds priced customers for whom the scheme has no tier: they have no row.
where bounded.month is not null or not placed.is_priced
