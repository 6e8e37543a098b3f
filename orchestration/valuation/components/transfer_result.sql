-- Each side of zero at its price, less the days that capital funds. Lending and cards have one price
-- for all days. The parts of a price are those of the curve's month, of the term's beginning, or of
-- the product's portfolio.
with side as (
    select
        value.*,
        parameter.* exclude (product_id, month, product_line, transfer_price, overdrawn_price),
        value.product_line in (select unnest($credit_lines)) as is_credit,
        coalesce(held.balance_day_sum, 0) as day_sum,
        case
            when value.overdrawn_price is null then 0
            else coalesce(held.overdrawn_day_sum, 0)
        end as below,
        -- In cents x days, as the rule limits it.
        case
            when parameter.is_capital_funded
                then
                    least(
                        value.economic_capital * day(last_day(value.month)),
                        -coalesce(held.overdrawn_day_sum, 0)
                    )
            else 0
        end as by_capital
    from value.account_month as value
    inner join base.account_month as held
        on value.account_id = held.account_id and value.month = held.month
    inner join value.product_parameter as parameter
        on value.product_id = parameter.product_id and value.month = parameter.month
    where value.account_id = $account and value.month = $month
),

-- The premiums in the price, of a term or of a portfolio.
rated as (
    select
        side.*,
        coalesce(
            bound.liquidity_premium,
            case when side.curve_month is null then side.liquidity_premium else 0 end
        ) as priced_liquidity,
        coalesce(
            agreed.option_premium,
            case when side.curve_month is null then side.option_premium else 0 end
        ) as priced_option,
        coalesce(
            agreed.policy_rate, case when side.curve_month is null then side.policy_rate else 0 end
        ) as priced_policy
    from side
    left join value.transfer_premium as bound
        on
            side.product_id = bound.product_id
            and side.liquidity_tenor = bound.tenor_months
            and side.liquidity_month >= bound.effective_from
            and (bound.effective_to is null or side.liquidity_month < bound.effective_to)
    left join value.transfer_premium as agreed
        on
            side.product_id = agreed.product_id
            and side.curve_tenor = agreed.tenor_months
            and side.curve_month >= agreed.effective_from
            and (agreed.effective_to is null or side.curve_month < agreed.effective_to)
),

days as (
    select
        rated.*,
        part.place,
        part.name as part,
        part.day_sum as part_day_sum,
        part.is_below
    from rated
    cross join lateral (
        values
        (1, case when below < 0 then 'days above zero' else 'all days' end, day_sum - below, false),
        (2, 'days below zero', below, true),
        (3, 'funded by capital', by_capital, not is_credit)
    ) as part(place, name, day_sum, is_below)
    where part.place = 1 or part.day_sum <> 0
)

select
    measure.name as measure,
    days.place,
    days.part,
    days.part_day_sum as day_sum,
    case when days.is_below then measure.below else measure.above end as price,
    365 as days_of_year,
    cast(
        cast(days.part_day_sum as decimal(38, 2))
        * case when days.is_below then measure.below else measure.above end
        as varchar
    ) as numerator,
    365 as denominator
from days
cross join lateral (
    values
    ('transfer_result', days.transfer_price, days.overdrawn_price),
    ('transfer_liquidity', days.priced_liquidity, days.overdrawn_liquidity_premium),
    ('transfer_option', days.priced_option, days.overdrawn_option_premium),
    ('transfer_policy', days.priced_policy, days.overdrawn_policy_rate)
) as measure(name, above, below)
union all
select
    'funded_by_capital' as measure,
    1 as place,
    'economic capital, at most what is owed' as part,
    by_capital as day_sum,
    null as price,
    null as days_of_year,
    cast(by_capital as varchar) as numerator,
    day(last_day(month)) as denominator
from side
where by_capital <> 0
order by measure, place
