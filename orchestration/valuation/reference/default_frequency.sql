{#- Accounts with a delivered status that are not in default at a cut-off, and those of them that are
    in default at the end of any of the twelve months after it, by band of days past due. The cut-offs
    are twelve months apart, so that no default counts twice. -#}
with bound as (
    select
        min(month) as first_month,
        max(month) as last_month
    from value.credit_risk
),

cutoff as (
    select cast(last_month - to_months(12 * number) as date) as month
    from bound
    cross join range(1, 100) as counted (number)
    where last_month - to_months(12 * number) >= first_month
),

observed as (
    select
        risk.account_id,
        risk.month,
        (
            select max(days)
            from unnest($bands) as band (days)
            where days <= held.days_past_due
        ) as days_past_due_from
    from value.credit_risk as risk
    inner join cutoff on risk.month = cutoff.month
    inner join base.account_month as held
        on risk.account_id = held.account_id and risk.month = held.month
    where not risk.is_in_default and risk.exposure > 0 and held.days_past_due is not null
),

defaulted as (
    select distinct
        observed.account_id,
        observed.month
    from observed
    inner join value.credit_risk as later
        on
            observed.account_id = later.account_id
            and observed.month < later.month
            and later.month <= observed.month + interval 12 month
    where later.is_in_default
)

select
    observed.days_past_due_from,
    count(*) as accounts,
    count(defaulted.account_id) as defaults,
    min(observed.month) as first_cutoff,
    max(observed.month) as last_cutoff
from observed
left join defaulted
    on observed.account_id = defaulted.account_id and observed.month = defaulted.month
group by observed.days_past_due_from
order by observed.days_past_due_from
