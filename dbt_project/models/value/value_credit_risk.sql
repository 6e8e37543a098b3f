with run as (
    select * from {{ ref('base_refresh_window') }}
),

refreshed_month as (
    {{ each_month('run', 'month_from', 'month_to') }}
),

account_month as (
    select
        account_month.account_id,
        account_month.month,
        account_month.product_id,
        account_month.days_past_due,
        account_month.is_defaulted,
        greatest(-account_month.closing_balance, 0) as owed,
        case when account_month.is_open then account_month.credit_limit end as committed_limit,
        coalesce(loan.not_in_balance, 0) as loans_beside
    from {{ ref('base_account_month') }} as account_month
    cross join run
    left join {{ ref('base_loan_exposure') }} as loan
        on account_month.account_id = loan.account_id and account_month.month = loan.month
    where account_month.month between run.month_from and run.month_to
),

rating as (
    select * from {{ in_force(ref('risk_rating'), [], 'refreshed_month') }} as in_force
),

-- A probability is of the twelve months after the month it was scored in, until a newer one: one
-- row an account and month.
scored as (
    select
        *,
        {{ months_later('scored_month', 12) }} as last_month,
        lead(scored_month) over (
            partition by account_id order by scored_month
        ) as scored_anew_month
    from {{ source('scores', 'account_default') }}
),

default_probability as (
    select
        scored.account_id,
        refreshed_month.month,
        scored.p_default,
        scored.default_model_version
    from scored
    inner join refreshed_month
        on
            scored.scored_month < refreshed_month.month
            and scored.last_month >= refreshed_month.month
            and coalesce(scored.scored_anew_month, scored.last_month) >= refreshed_month.month
),

exposed as (
    select
        account_month.account_id,
        account_month.month,
        cast(
            coalesce(default_probability.p_default, rating.pd_annual) as decimal(9, 6)
        ) as probability_of_default,
        default_probability.default_model_version,
        parameter.loss_given_default,
        cast(
            account_month.owed + account_month.loans_beside + {{ from_cents(divide_units(
                units('greatest(coalesce(account_month.committed_limit, 0) - account_month.owed, 0)')
                ~ ' * ' ~ units('parameter.credit_conversion_factor', 6), '1000000'
            )) }} as decimal(18, 2)
        ) as exposure
    from account_month
    inner join {{ ref('value_product_parameter') }} as parameter
        on
            account_month.product_id = parameter.product_id
            and account_month.month = parameter.month
    inner join rating
        on
            account_month.month = rating.month
            and coalesce(account_month.days_past_due, 0) >= rating.days_past_due_from
            and coalesce(account_month.days_past_due, 0)
            <= coalesce(rating.days_past_due_to, 1000000)
    -- The model scores accounts that may yet default.
    left join default_probability
        on
            account_month.account_id = default_probability.account_id
            and account_month.month = default_probability.month
            and coalesce(account_month.days_past_due, 0) < 90
            and not coalesce(account_month.is_defaulted, false)
            and rating.pd_annual < 1
)

select
    account_id,
    month,
    exposure,
    probability_of_default,
    default_model_version,
    {{ from_cents(divide_units(
        units('exposure') ~ ' * ' ~ units('probability_of_default', 6) ~ ' * '
        ~ units('loss_given_default', 6), '12000000000000'
    )) }} as expected_loss
from exposed
