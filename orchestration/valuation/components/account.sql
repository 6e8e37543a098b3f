select
    value.account_id,
    value.month,
    held.is_balance_known,
    value.product_id,
    account.product_name,
    value.product_line,
    value.branch_id,
    account.opened_on,
    account.closed_on,
    held.interest_rate,
    held.credit_limit,
    held.term_months,
    held.priced_on,
    account.matures_on,
    held.days_in_month,
    held.days_open,
    held.opening_balance,
    held.booked_amount,
    value.closing_balance,
    held.balance_day_sum,
    held.overdrawn_day_sum,
    held.days_past_due,
    risk.is_in_default,
    value.stage,
    value.probability_of_default,
    case
        when risk.is_in_default then 'the account is in default'
        when value.default_model_version is not null then 'default model'
        else 'rating table'
    end as probability_from,
    value.default_model_version
from value.account_month as value
inner join base.account_month as held
    on value.account_id = held.account_id and value.month = held.month
inner join base.account as account on value.account_id = account.account_id
inner join value.credit_risk as risk
    on value.account_id = risk.account_id and value.month = risk.month
where value.account_id = $account and value.month = $month
