with account_month as (
    select
        held.account_id,
        held.month,
        held.interest_rate,
        -- Interest accrues in the account's currency and is translated at the average rate.
        coalesce(held.foreign_balance_day_sum, held.balance_day_sum) as balance_day_sum,
        coalesce(held.foreign_overdrawn_day_sum, held.overdrawn_day_sum) as overdrawn_day_sum,
        coalesce(held.average_rate, 1) as average_rate,
        coalesce(held.closing_rate, 1) as closing_rate,
        held.currency is not null as is_foreign,
        held.interest_charged,
        held.interest_paid,
        parameter.day_count,
        held.product_line in (select unnest($credit_lines)) as is_credit,
        accrued.account_id is not null as has_accrued,
        coalesce(accrued.foreign_interest_accrued, accrued.interest_accrued) as interest_accrued,
        coalesce(accrued.foreign_interest_booked, accrued.interest_booked) as interest_booked,
        -- Empty where the bank delivers its own accrual.
        value.accrued_interest is not null as is_settled
    from base.account_month as held
    inner join value.product_parameter as parameter
        on held.product_id = parameter.product_id and held.month = parameter.month
    inner join value.account_month as value
        on held.account_id = value.account_id and held.month = value.month
    left join value.accrued_interest as accrued
        on held.account_id = accrued.account_id and held.month = accrued.month
    where held.account_id = $account and held.month = $month
),

before as (
    select coalesce(foreign_accrued_interest, accrued_interest) as amount
    from value.accrued_interest
    where account_id = $account and month < $month
    order by month desc
    limit 1
),

-- The first interest booked on an account from before the history settles what was accrued then.
brought as (
    select
        account.opened_on < (select min(month) from value.product_parameter)
        and not exists(
            select 1
            from base.account_month as earlier
            inner join account_month on earlier.month < account_month.month
            where
                earlier.account_id = $account
                and case
                    when account_month.is_credit then earlier.interest_charged
                    else earlier.interest_paid
                end <> 0
        ) as may_be
    from base.account as account
    where account.account_id = $account
),

measured as (
    select
        account_month.*,
        measure.name as measure,
        measure.name = case
            when account_month.is_credit then 'interest_income' else 'interest_expense'
        end as accrues,
        case
            when measure.name = 'interest_income' then -account_month.interest_charged
            else account_month.interest_paid
        end as booked
    from account_month
    cross join (values ('interest_income'), ('interest_expense')) as measure(name)
),

unsettled as (
    select
        case
            when account_month.interest_accrued is null then 0
            else
                coalesce((select amount from before), 0)
                + account_month.interest_accrued - account_month.interest_booked
        end as amount
    from account_month
)

select
    measure,
    'accrued by the rate' as part,
    interest_rate,
    case
        when is_credit then -overdrawn_day_sum else balance_day_sum - overdrawn_day_sum
    end as day_sum,
    day_count,
    cast(
        case
            when is_foreign then cast(interest_accrued as decimal(38, 2)) * average_rate
            else
                cast(
                    case
                        when is_credit then -overdrawn_day_sum
                        else balance_day_sum - overdrawn_day_sum
                    end as decimal(38, 2)
                ) * interest_rate
        end as varchar
    ) as numerator,
    case when is_foreign then 1 else day_count end as denominator
from measured
where accrues and interest_accrued is not null
union all
select
    measure,
    case when accrues and has_accrued then 'booked; the accrual ends' else 'booked' end as part,
    null as interest_rate,
    null as day_sum,
    null as day_count,
    cast(
        case when accrues and has_accrued then interest_booked * average_rate else booked end
        as varchar
    ) as numerator,
    1 as denominator
from measured
where not (accrues and has_accrued and interest_accrued is not null)
union all
select
    measured.measure,
    'taken back: accrued before and not booked' as part,
    null as interest_rate,
    null as day_sum,
    null as day_count,
    cast(-before.amount * measured.average_rate as varchar) as numerator,
    1 as denominator
from measured
cross join before
where measured.accrues and measured.has_accrued and measured.interest_accrued is null
union all
select
    measure || '_booked' as measure,
    'bookings of the month' as part,
    null as interest_rate,
    null as day_sum,
    null as day_count,
    cast(booked as varchar) as numerator,
    1 as denominator
from measured
union all
select
    'accrued_interest' as measure,
    part.name as part,
    null as interest_rate,
    null as day_sum,
    null as day_count,
    cast(part.amount * account_month.closing_rate as varchar) as numerator,
    1 as denominator
from account_month
cross join lateral (
    select
        'at the end of the month before' as name,
        coalesce((select amount from before), 0) as amount
    union all
    select
        'accrued in the month' as name,
        account_month.interest_accrued as amount
    union all
    select
        'booked in the month' as name,
        -account_month.interest_booked as amount
    union all
    select
        'accrued before the history' as name,
        greatest(-(select amount from unsettled), 0) as amount
    from brought
    where brought.may_be and account_month.interest_booked <> 0
) as part
where account_month.is_settled and account_month.interest_accrued is not null
union all
select
    'accrued_interest' as measure,
    'nothing accrues' as part,
    null as interest_rate,
    null as day_sum,
    null as day_count,
    cast(0 as varchar) as numerator,
    1 as denominator
from account_month
where is_settled and interest_accrued is null
