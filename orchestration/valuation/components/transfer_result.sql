-- Lending and cards have one price for all days.
with side as (
    select
        value.transfer_price,
        value.overdrawn_price,
        coalesce(held.balance_day_sum, 0) as day_sum,
        case
            when value.overdrawn_price is null then 0
            else coalesce(held.overdrawn_day_sum, 0)
        end as below
    from value.account_month as value
    inner join base.account_month as held
        on value.account_id = held.account_id and value.month = held.month
    where value.account_id = $account and value.month = $month
)

select
    'transfer_result' as measure,
    case when below < 0 then 'days above zero' else 'all days' end as part,
    day_sum - below as day_sum,
    transfer_price as price,
    365 as days_of_year,
    cast(cast(day_sum - below as decimal(38, 2)) * transfer_price as varchar) as numerator,
    365 as denominator
from side
union all
select
    'transfer_result' as measure,
    'days below zero' as part,
    below as day_sum,
    overdrawn_price as price,
    365 as days_of_year,
    cast(cast(below as decimal(38, 2)) * overdrawn_price as varchar) as numerator,
    365 as denominator
from side
where below < 0
