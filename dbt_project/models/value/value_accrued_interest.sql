{{ config(materialized='table') }}

{%- set on_credit =
    'account_month.product_line in ' ~ quoted_list(product_lines('is_credit'))
-%}
{#- Interest accrues in the account's currency and is translated at the end. -#}
{%- set balance, overdrawn = [
    'coalesce(account_month.foreign_balance_day_sum, account_month.balance_day_sum)',
    'coalesce(account_month.foreign_overdrawn_day_sum, account_month.overdrawn_day_sum)',
] -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:LT02,ST05,ST06,RF04
with run as (
    select * from {{ ref('base_refresh_window') }}
),

account_month as (
    select
        account_month.account_id,
        account_month.month,
        account.opened_on < run.first_month as is_brought,
        account_month.currency,
        account_month.average_rate,
        account_month.closing_rate,
        case
            when {{ on_credit }} then -account_month.interest_charged
            else account_month.interest_paid
        end as translated_booked,
        case
            when {{ on_credit }}
                then -coalesce(
                    account_month.foreign_interest_charged, account_month.interest_charged
                )
            else coalesce(account_month.foreign_interest_paid, account_month.interest_paid)
        end as booked,
        -- No interest accrues in default, and none in the month that settles an account.
        case
            when
                parameter.is_accrued
                and account_month.interest_rate >= 0
                and account_month.is_open
                and not coalesce(account_month.is_defaulted, false)
                and coalesce(account_month.days_past_due, 0) < 90
                then
                    {{ from_cents(divide_units(
                        'case when ' ~ on_credit ~ ' then -' ~ units(overdrawn)
                        ~ ' else ' ~ units(balance) ~ ' - ' ~ units(overdrawn) ~ ' end * '
                        ~ units('account_month.interest_rate', 6),
                        'parameter.day_count * 1000000'
                    )) }}
        end as accrued
    from {{ ref('base_account_month') }} as account_month
    inner join {{ ref('base_account') }} as account
        on account_month.account_id = account.account_id
    inner join {{ ref('value_product_parameter') }} as parameter
        on
            account_month.product_id = parameter.product_id
            and account_month.month = parameter.month
    cross join run
    where {{ in_part('account_month.account_id') }}
),

-- A month without accrual ends a spell of months with it.
followed as (
    select
        account_month.*,
        sum(case when account_month.accrued is null then 1 else 0 end) over so_far as spell,
        account_month.booked <> 0
        and coalesce(
            sum(case when account_month.booked <> 0 then 1 else 0 end) over (
                partition by account_month.account_id order by account_month.month
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) = 0 as is_first_booked,
        count(account_month.accrued) over so_far > 0 as has_accrued
    from account_month
    window so_far as (partition by account_month.account_id order by account_month.month)
),

accumulated as (
    select
        *,
        sum(case when accrued is null then 0 else accrued - booked end) over (
            partition by account_id, spell order by month
            rows between unbounded preceding and current row
        ) as unsettled
    from followed
),

-- What the first interest booked pays beyond the accrual of the history was accrued before it.
brought as (
    select
        *,
        max(
            case when is_brought and is_first_booked then greatest(-unsettled, 0) else 0 end
        ) over (
            partition by account_id, spell order by month
            rows between unbounded preceding and current row
        ) as brought_forward
    from accumulated
),

settled as (
    select
        *,
        case when accrued is null then 0 else unsettled + brought_forward end as accrued_interest
    from brought
),

earned as (
    select
        *,
        coalesce(lag(accrued_interest) over by_month, 0) as accrued_before,
        -- Where the accrual ends, what was accrued and not booked is taken back.
        coalesce(accrued, booked - coalesce(lag(accrued_interest) over by_month, 0)) as interest
    from settled
    window by_month as (partition by account_id order by month)
),

in_bank_currency as (
    select
        earned.account_id,
        earned.month,
        {{ translated('earned.accrued', 'average_rate', 'earned', 'currency') }}
            as interest_accrued,
        cast(earned.translated_booked as decimal(18, 2)) as interest_booked,
        {{ translated('earned.interest', 'average_rate', 'earned', 'currency') }} as interest,
        {{ translated('earned.accrued_interest', 'closing_rate', 'earned', 'currency') }}
            as accrued_interest,
        -- Accrued before the history and settled now.
        {{ translated(
            'earned.accrued_interest - earned.accrued_before - earned.interest + earned.booked',
            'average_rate', 'earned', 'currency'
        ) }} as brought,
        {%- for name in ['accrued', 'booked', 'accrued_interest'] %}
        cast(case when earned.currency is not null then earned.{{ name }} end as decimal(18, 2))
            as foreign_{{ name if name == 'accrued_interest' else 'interest_' ~ name }}
        {{- "," if not loop.last }}
        {%- endfor %}
    from earned
    where earned.has_accrued
)

select
    account_id,
    month,
    interest_accrued,
    interest_booked,
    interest,
    accrued_interest,
    cast(
        accrued_interest
        - coalesce(lag(accrued_interest) over (partition by account_id order by month), 0)
        - interest + interest_booked - brought as decimal(18, 2)
    ) as revaluation,
    foreign_interest_accrued,
    foreign_interest_booked,
    foreign_accrued_interest
from in_bank_currency
