-- What is owed and set aside by month and stage of accounts with an exposure.
select
    month,
    stage,
    count(*) as accounts,
    sum(exposure) as exposure,
    sum(loss_allowance) as loss_allowance,
    sum(provision) as provision
from value.credit_risk
where stage is not null and exposure > 0 and month <= $month
group by month, stage
order by month, stage
