{{ config(materialized='table') }}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

term_account as (
    select
        min({{ month_of('account.opened_on') }}) as first_opened,
        max(history.term_months) as longest
    from {{ ref('base_account_history') }} as history
    inner join {{ ref('base_account') }} as account on history.account_id = account.account_id
    where history.term_months is not null
),

portfolio as (
    select max(tenor_months) as longest from {{ ref('replicating_portfolio') }}
),

-- Term accounts are priced in the month they were opened; a tranche of a replicating portfolio
-- starts its tenor before the first month.
bound as (
    select
        least(
            coalesce(term_account.first_opened, run.first_month),
            {{ months_later('run.first_month', '-coalesce(portfolio.longest, 0)') }}
        ) as month_from,
        run.as_of_month as month_to,
        greatest(
            coalesce(term_account.longest, 1), coalesce(portfolio.longest, 1)
        ) as longest
    from run
    cross join term_account
    cross join portfolio
),

curve_month as (
    {{ each_month('bound', 'month_from', 'month_to') }}
),

tenor as (
    {{ each_number('bound', 'longest') }}
),

point as (
    select
        coalesce(currency, '*') as currency,
        effective_from,
        tenor_months,
        {{ units('annual_rate', 6) }} as rate,
        lead(tenor_months) over by_tenor as next_tenor,
        lead({{ units('annual_rate', 6) }}) over by_tenor as next_rate,
        row_number() over by_tenor as place
    from {{ ref('transfer_curve') }}
    window by_tenor as (partition by currency, effective_from order by tenor_months)
),

-- Linear between two points; constant before the first and after the last.
version as (
    select
        point.currency,
        point.effective_from,
        tenor.number as tenor_months,
        point.tenor_months as tenor_below,
        point.rate as rate_below,
        case
            when tenor.number > point.tenor_months
                then coalesce(point.next_tenor, point.tenor_months)
            else point.tenor_months
        end as tenor_above,
        case
            when tenor.number > point.tenor_months then coalesce(point.next_rate, point.rate)
            else point.rate
        end as rate_above,
        case
            when tenor.number <= point.tenor_months or point.next_tenor is null then point.rate
            else
                {{ divide_units(
                    '(point.rate * (point.next_tenor - tenor.number) + point.next_rate'
                    ~ ' * (tenor.number - point.tenor_months))',
                    '(point.next_tenor - point.tenor_months)'
                ) }}
        end as rate
    from tenor
    inner join point
        on
            (tenor.number >= point.tenor_months or point.place = 1)
            and (tenor.number < point.next_tenor or point.next_tenor is null)
),

version_month as (
    select
        point.currency,
        curve_month.month,
        max(point.effective_from) as effective_from
    from curve_month
    inner join point on curve_month.month >= point.effective_from
    group by point.currency, curve_month.month
)

select
    version_month.currency,
    version_month.month,
    cast(version.tenor_months as integer) as tenor_months,
    {{ from_millionths('version.rate') }} as annual_rate,
    version.tenor_below,
    {{ from_millionths('version.rate_below') }} as rate_below,
    version.tenor_above,
    {{ from_millionths('version.rate_above') }} as rate_above
from version_month
inner join version
    on
        version_month.currency = version.currency
        and version_month.effective_from = version.effective_from
