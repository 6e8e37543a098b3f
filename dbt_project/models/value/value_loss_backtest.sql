with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- Accounts that were there a month before: of others nothing was expected.
judged as (
    select
        risk.month,
        risk.product_line,
        cast(year(account.opened_on) as integer) as cohort,
        risk.at_risk_before,
        risk.expected_before,
        risk.was_in_default,
        case when risk.is_in_default and not risk.was_in_default then 1 else 0 end as new_default,
        risk.provision_change + risk.realised_loss as default_loss
    from {{ ref('value_credit_risk') }} as risk
    inner join {{ ref('base_account') }} as account on risk.account_id = account.account_id
    cross join run
    where risk.month between run.month_from and run.month_to and risk.at_risk_before is not null
)

select
    month,
    product_line,
    cohort,
    cast(
        sum(case when at_risk_before > 0 and not was_in_default then 1 else 0 end) as integer
    ) as accounts,
    cast(
        sum(case when was_in_default then 0 else at_risk_before end) as decimal(18, 2)
    ) as loss_at_risk,
    cast(max(at_risk_before) as decimal(18, 2)) as largest_loss_at_risk,
    cast(sum(new_default) as integer) as new_defaults,
    cast(sum(expected_before) as decimal(18, 2)) as expected_loss,
    cast(sum(default_loss) as decimal(18, 2)) as realised_loss,
    cast(sum(expected_before * (at_risk_before - expected_before)) as decimal(38, 4)) as variance
from judged
group by month, product_line, cohort
having sum(at_risk_before) > 0 or sum(abs(default_loss)) > 0
