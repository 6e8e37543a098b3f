with known as (
    select
        held.account_id,
        held.month,
        risk.exposure,
        risk.probability_of_default,
        risk.probability_of_loss,
        risk.is_in_default,
        risk.provision,
        risk.provision_change,
        risk.realised_loss,
        parameter.loss_given_default,
        coalesce(loan.not_in_balance, 0) as loans_beside,
        case
            when coalesce(account.closed_on <= last_day(held.month), false)
                then greatest(-held.closing_balance, 0)
            else 0
        end as lost
    from base.account_month as held
    inner join base.account as account on held.account_id = account.account_id
    inner join value.credit_risk as risk
        on held.account_id = risk.account_id and held.month = risk.month
    inner join value.product_parameter as parameter
        on held.product_id = parameter.product_id and held.month = parameter.month
    left join base.loan_exposure as loan
        on held.account_id = loan.account_id and held.month = loan.month
    where
        held.account_id = $account
        and held.month in (
            select month
            from base.account_month
            where account_id = $account and month <= $month
            order by month desc
            limit 2
        )
),

own as (
    select * from known where month = $month
),

before as (
    select * from known where month < $month
),

settled as (
    select
        coalesce(sum(amount) filter (where kind in ('write_off', 'recovery')), 0) as written_off,
        coalesce(
            sum(2 * amount_in - amount) filter (where kind = 'loan_repayment'), 0
        ) as repaid
    from base.account_activity
    where account_id = $account and month = $month
)

select
    'expected_loss' as measure,
    1 as step,
    'a twelfth of the year''s loss before a default' as part,
    exposure,
    probability_of_default as probability,
    loss_given_default,
    cast(
        cast(exposure as decimal(38, 2)) * probability_of_default * loss_given_default as varchar
    ) as numerator,
    12 as denominator
from own
where not is_in_default
union all
select
    'expected_loss' as measure,
    2 as step,
    part.name as part,
    null as exposure,
    null as probability,
    null as loss_given_default,
    cast(part.amount as varchar) as numerator,
    1 as denominator
from own
cross join lateral (
    select
        'change of the provision' as name,
        own.provision_change as amount
    union all
    select
        'realised loss' as name,
        own.realised_loss as amount
) as part
union all
select
    'provision' as measure,
    1 as step,
    'loss at the default' as part,
    exposure,
    null as probability,
    loss_given_default,
    cast(cast(exposure as decimal(38, 2)) * loss_given_default as varchar) as numerator,
    1 as denominator
from own
where is_in_default
union all
select
    'provision_change' as measure,
    1 as step,
    'provision of the month' as part,
    null as exposure,
    null as probability,
    null as loss_given_default,
    cast(provision as varchar) as numerator,
    1 as denominator
from own
union all
select
    'provision_change' as measure,
    1 as step,
    'provision of the month before' as part,
    null as exposure,
    null as probability,
    null as loss_given_default,
    cast(-provision as varchar) as numerator,
    1 as denominator
from before
union all
select
    'realised_loss' as measure,
    1 as step,
    part.name as part,
    null as exposure,
    null as probability,
    null as loss_given_default,
    cast(part.amount as varchar) as numerator,
    1 as denominator
from own
cross join settled
left join before on true
cross join lateral (
    select
        'owed on the closed account, less the month before' as name,
        own.lost - coalesce(before.lost, 0) as amount
    union all
    select
        'written off less recovered' as name,
        settled.written_off as amount
    union all
    select
        'loans of the month before that are gone after a default, less what was repaid' as name,
        case
            when before.is_in_default and own.loans_beside = 0
                then greatest(before.loans_beside - settled.repaid, 0)
            else 0
        end as amount
) as part
union all
select
    'loss_allowance' as measure,
    1 as step,
    'allowance of the stage' as part,
    exposure,
    probability_of_loss as probability,
    loss_given_default,
    cast(
        cast(exposure as decimal(38, 2)) * probability_of_loss * loss_given_default as varchar
    ) as numerator,
    1 as denominator
from own
