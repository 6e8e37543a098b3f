with owed as (
    select
        greatest(-held.closing_balance, 0) as amount,
        coalesce(account.closed_on <= last_day(held.month), false) as is_closed,
        coalesce(loan.not_in_balance, 0) as loans_beside,
        loan.loans,
        case when held.is_open then held.credit_limit end as credit_limit,
        parameter.credit_conversion_factor
    from base.account_month as held
    inner join base.account as account on held.account_id = account.account_id
    inner join value.product_parameter as parameter
        on held.product_id = parameter.product_id and held.month = parameter.month
    left join base.loan_exposure as loan
        on held.account_id = loan.account_id and held.month = loan.month
    where held.account_id = $account and held.month = $month
)

select
    'exposure' as measure,
    1 as step,
    'owed at the end of the month' as part,
    null as loans,
    null as undrawn,
    null as credit_conversion_factor,
    cast(coalesce(amount, 0) as varchar) as numerator,
    1 as denominator
from owed
where not is_closed
union all
select
    'exposure' as measure,
    2 as step,
    'loans beside the balance' as part,
    loans,
    null as undrawn,
    null as credit_conversion_factor,
    cast(loans_beside as varchar) as numerator,
    1 as denominator
from owed
where loans_beside > 0
union all
select
    'exposure' as measure,
    3 as step,
    'undrawn limit' as part,
    null as loans,
    greatest(credit_limit - coalesce(amount, 0), 0) as undrawn,
    credit_conversion_factor,
    cast(
        cast(greatest(credit_limit - coalesce(amount, 0), 0) as decimal(38, 2))
        * credit_conversion_factor as varchar
    ) as numerator,
    1 as denominator
from owed
where credit_limit is not null
