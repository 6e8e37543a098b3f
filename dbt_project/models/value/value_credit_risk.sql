with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- A charge is a change since the account's month before, which the window need not hold.
month_before as (
    select
        account_month.account_id,
        max(account_month.month) as month
    from {{ ref('base_account_month') }} as account_month
    cross join run
    where account_month.month < run.month_from
    group by account_month.account_id
),

account_month as (
    select
        account_month.account_id,
        account_month.month,
        account_month.product_id,
        account_month.product_line,
        account_month.term_months,
        account_month.priced_on,
        coalesce(account_month.days_past_due, 0) as days_past_due,
        coalesce(account_month.is_defaulted, false) as is_defaulted,
        coalesce(account.closed_on <= last_day(account_month.month), false) as is_closed,
        greatest(-account_month.closing_balance, 0) as owed,
        case when account_month.is_open then account_month.credit_limit end as committed_limit,
        coalesce(loan.not_in_balance, 0) as loans_beside
    from {{ ref('base_account_month') }} as account_month
    cross join run
    inner join {{ ref('base_account') }} as account
        on account_month.account_id = account.account_id
    left join month_before on account_month.account_id = month_before.account_id
    left join {{ ref('base_loan_exposure') }} as loan
        on account_month.account_id = loan.account_id and account_month.month = loan.month
    where
        account_month.month between run.month_from and run.month_to
        or account_month.month = month_before.month
),

known_month as (
    select distinct month from account_month
),

rating as (
    select * from {{ in_force(ref('risk_rating'), [], 'known_month') }} as in_force
),

staging as (
    select * from {{ in_force(ref('loss_staging'), [], 'known_month') }} as in_force
),

-- A probability is of the twelve months after the month it was scored in, until a newer one: one
-- row an account and month.
scored as (
    select
        *,
        {{ months_later('scored_month', 12) }} as last_month,
        lead(scored_month) over by_account as scored_anew_month,
        {{ known_value('first', 'p_default') }} over by_account as first_p_default
    from {{ source('scores', 'account_default') }}
    window by_account as (partition by account_id order by scored_month)
),

default_probability as (
    select
        scored.account_id,
        known_month.month,
        scored.p_default,
        scored.first_p_default,
        scored.default_model_version
    from scored
    inner join known_month
        on
            scored.scored_month < known_month.month
            and scored.last_month >= known_month.month
            and coalesce(scored.scored_anew_month, scored.last_month) >= known_month.month
),

banded as (
    select
        account_month.*,
        staging.stage_2_days,
        staging.stage_2_pd_ratio,
        staging.lifetime_loss,
        rating.pd_annual,
        account_month.days_past_due >= staging.default_days
        or account_month.is_defaulted
        or rating.pd_annual = 1 as is_in_default
    from account_month
    inner join staging on account_month.month = staging.month
    inner join rating
        on
            account_month.month = rating.month
            and account_month.days_past_due >= rating.days_past_due_from
            and account_month.days_past_due <= coalesce(rating.days_past_due_to, 1000000)
),

exposed as (
    select
        banded.*,
        parameter.loss_given_default,
        cast(
            case
                when banded.is_in_default then 1
                else coalesce(default_probability.p_default, banded.pd_annual)
            end as decimal(9, 6)
        ) as probability_of_default,
        default_probability.default_model_version,
        default_probability.first_p_default,
        -- What is still owed on a closed account is lost.
        case when banded.is_closed then banded.owed else 0 end as lost,
        cast(
            case when banded.is_closed then 0 else banded.owed end
            + banded.loans_beside
            + {{ from_cents(divide_units(
                units('greatest(coalesce(banded.committed_limit, 0) - banded.owed, 0)')
                ~ ' * ' ~ units('parameter.credit_conversion_factor', 6), '1000000'
            )) }} as decimal(18, 2)
        ) as exposure,
        {{ whole_share(
            'banded.term_months + 11 - '
            ~ months_from_to('banded.priced_on', 'banded.month') ~ ' % banded.term_months', '12'
        ) }} as years_left
    from banded
    inner join {{ ref('value_product_parameter') }} as parameter
        on
            banded.product_id = parameter.product_id
            and banded.month = parameter.month
    -- The model scores accounts that may yet default.
    left join default_probability
        on
            banded.account_id = default_probability.account_id
            and banded.month = default_probability.month
            and not banded.is_in_default
),

staged as (
    select
        *,
        case
            when exposure = 0 then null
            when is_in_default then 3
            when days_past_due >= stage_2_days then 2
            when probability_of_default >= stage_2_pd_ratio * first_p_default then 2
            else 1
        end as stage
    from exposed
),

likely as (
    select
        *,
        case
            -- Without a term the bank may end the credit within the year.
            when stage = 2 and lifetime_loss and years_left > 1
                then cast(
                    round(1 - power(1 - cast(probability_of_default as double), years_left), 6)
                    as decimal(9, 6)
                )
            else probability_of_default
        end as probability_of_loss
    from staged
),

allowed as (
    select
        *,
        {{ from_cents(divide_units(
            units('exposure') ~ ' * ' ~ units('loss_given_default', 6), '1000000'
        )) }} as loss_at_default,
        {{ from_cents(divide_units(
            units('exposure') ~ ' * ' ~ units('probability_of_loss', 6) ~ ' * '
            ~ units('loss_given_default', 6), '1000000000000'
        )) }} as loss_allowance,
        case
            when is_in_default then 0
            else {{ from_cents(divide_units(
                units('exposure') ~ ' * ' ~ units('probability_of_default', 6) ~ ' * '
                ~ units('loss_given_default', 6), '12000000000000'
            )) }}
        end as risk_charge
    from likely
),

provided as (
    select
        *,
        case when is_in_default then loss_at_default else 0 end as provision
    from allowed
),

changed as (
    select
        *,
        provision - coalesce(lag(provision) over by_month, 0) as provision_change,
        lost - coalesce(lag(lost) over by_month, 0) as newly_lost,
        -- A loan beside the balance that is gone after a default was paid or written off.
        case
            when lag(is_in_default) over by_month and loans_beside = 0
                then lag(loans_beside) over by_month
            else 0
        end as loans_gone,
        coalesce(lag(is_in_default) over by_month, false) as was_in_default,
        lag(risk_charge) over by_month as expected_before,
        lag(loss_at_default) over by_month as at_risk_before
    from provided
    window by_month as (partition by account_id order by month)
),

settled as (
    select
        activity.account_id,
        activity.month,
        sum(
            case when activity.kind in ('write_off', 'recovery') then activity.amount else 0 end
        ) as written_off,
        -- Whichever side: paid by the account, or received by the loan's own.
        sum(
            case
                when activity.kind = 'loan_repayment' then 2 * activity.amount_in - activity.amount
                else 0
            end
        ) as repaid
    from {{ ref('base_account_activity') }} as activity
    cross join run
    where
        activity.month between run.month_from and run.month_to
        and activity.kind in ('write_off', 'recovery', 'loan_repayment')
    group by activity.account_id, activity.month
),

charged as (
    select
        changed.*,
        changed.newly_lost
        + coalesce(settled.written_off, 0)
        + greatest(changed.loans_gone - coalesce(settled.repaid, 0), 0) as realised_loss
    from changed
    cross join run
    left join settled
        on changed.account_id = settled.account_id and changed.month = settled.month
    where changed.month >= run.month_from
)

select
    account_id,
    month,
    product_line,
    exposure,
    probability_of_default,
    default_model_version,
    cast(stage as integer) as stage,
    probability_of_loss,
    loss_allowance,
    cast(provision as decimal(18, 2)) as provision,
    cast(provision_change as decimal(18, 2)) as provision_change,
    cast(realised_loss as decimal(18, 2)) as realised_loss,
    cast(risk_charge + provision_change + realised_loss as decimal(18, 2)) as expected_loss,
    is_in_default,
    was_in_default,
    cast(expected_before as decimal(18, 2)) as expected_before,
    cast(at_risk_before as decimal(18, 2)) as at_risk_before
from charged
