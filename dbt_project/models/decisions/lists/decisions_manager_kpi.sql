{#- A customer contacted in these days before the as-of date is covered. -#}
{%- set covered_days = 90 -%}

with run as (
    select
        as_of,
        as_of_month as month,
        {{ months_later('as_of_month', -11) }} as year_from,
        {{ months_later('as_of_month', -12) }} as year_before
    from {{ ref('base_refresh_window') }}
),

target as (
    select * from {{ ref('value_kpi_target') }}
),

earned as (
    select
        profit.employee_id,
        sum(profit.economic_profit) as credited_profit
    from {{ ref('value_profit_by_employee') }} as profit
    cross join run
    where
        profit.role = 'credited'
        and profit.employee_id <> '(none)'
        and profit.month between run.year_from and run.month
    group by profit.employee_id
),

-- The newest credit of each account counts for the volume of the year before too: growth does not
-- come from a hand-over.
holding as (
    select
        credit.account_id,
        credit.employee_id,
        credit.units,
        credit.all_units
    from {{ ref('value_account_credit') }} as credit
    cross join run
    where credit.month between run.year_before and run.month
    qualify credit.month = max(credit.month) over (partition by credit.account_id)
),

part as (
    select
        holding.employee_id,
        account_month.month = run.month as is_now,
        {{ from_cents(divide_units(
            units('abs(account_month.closing_balance)') ~ ' * holding.units', 'holding.all_units'
        )) }} as volume
    from holding
    cross join run
    inner join {{ ref('value_account_month') }} as account_month
        on
            holding.account_id = account_month.account_id
            and account_month.month in (run.month, run.year_before)
    where holding.employee_id <> '(none)'
),

volume as (
    select
        employee_id,
        sum(case when is_now then volume else 0 end) as volume,
        sum(case when is_now then 0 else volume end) as volume_before
    from part
    group by employee_id
),

book as (
    select
        customer.employee_id,
        count(*) as customers,
        sum(
            case
                when
                    {{ days_from_to('customer.last_contacted_on', 'run.as_of') }}
                    < {{ covered_days }}
                    then 1
                else 0
            end
        ) as covered,
        sum(coalesce(customer.complaints_12m, 0)) as complaints
    from {{ ref('base_customer') }} as customer
    cross join run
    where customer.employee_id is not null and customer.accounts > 0
    group by customer.employee_id
),

defaulted as (
    select distinct account_month.account_id
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where account_month.stage = 3 and account_month.month between run.year_from and run.month
),

-- Credit accounts of the last twelve months, and whose they were when they were opened.
opened as (
    select
        credit.employee_id,
        count(distinct account.account_id) as accounts,
        count(distinct defaulted.account_id) as defaulted
    from {{ ref('base_account') }} as account
    cross join run
    inner join {{ ref('value_account_credit') }} as credit
        on
            account.account_id = credit.account_id
            and credit.month = {{ month_of('account.opened_on') }}
    left join defaulted on account.account_id = defaulted.account_id
    where
        account.opened_on >= run.year_from
        and account.product_line in {{ quoted_list(product_lines('is_credit')) }}
        and credit.employee_id <> '(none)'
    group by credit.employee_id
),

measured as (
    select
        employee_id,
        'credited_profit' as measure,
        credited_profit as numerator,
        cast(null as decimal(18, 2)) as denominator,
        credited_profit as value
    from earned
    {%- for measure, relation, numerator, denominator in [
        ('growth', 'volume', 'volume - volume_before', 'volume_before'),
        ('coverage', 'book', 'covered', 'customers'),
        ('complaints', 'book', 'complaints', 'customers'),
        ('early_defaults', 'opened', 'defaulted', 'accounts'),
    ] %}
    union all
    select
        employee_id,
        '{{ measure }}' as measure,
        {{ numerator }} as numerator,
        {{ denominator }} as denominator,
        {{ ratio(
            'cast(' ~ numerator ~ ' as double)', 'cast(' ~ denominator ~ ' as double)'
        ) }} as value
    from {{ relation }}
    {%- endfor %}
    union all
    -- Responses that came of the contacts: compared with the customers held out.
    select
        employee_id,
        'conversion' as measure,
        round(effect * treated, 2) as numerator,
        treated as denominator,
        effect as value
    from {{ ref('decisions_manager_scorecard') }}
    where employee_id is not null and effect is not null
),

employee as (
    select distinct employee_id from measured
),

-- An employee's own targets take the place of all those of everybody.
asked as (
    select
        employee.employee_id,
        target.measure,
        target.weight,
        target.floor_value,
        target.target_value,
        target.attainment_cap
    from employee
    inner join target
        on
            employee.employee_id = target.employee_id
            or (
                target.employee_id = '*'
                and employee.employee_id not in (select own.employee_id from target as own)
            )
),

figure as (
    select
        asked.*,
        cast(measured.numerator as decimal(18, 2)) as numerator,
        cast(measured.denominator as decimal(18, 2)) as denominator,
        cast(round(measured.value, 6) as decimal(18, 6)) as value
    from asked
    left join measured
        on asked.employee_id = measured.employee_id and asked.measure = measured.measure
),

attained as (
    select
        *,
        case
            when value is not null
                then cast(
                    round(
                        least(
                            greatest(
                                cast(value - floor_value as double)
                                / cast(target_value - floor_value as double),
                                0
                            ),
                            cast(attainment_cap as double)
                        ),
                        6
                    ) as decimal(9, 6)
                )
        end as attainment
    from figure
)

select
    employee_id,
    measure,
    numerator,
    denominator,
    value,
    floor_value,
    target_value,
    attainment_cap,
    attainment,
    weight,
    cast(round(100 * weight * attainment, 2) as decimal(9, 2)) as points
from attained
union all
-- What has no value is neither for nor against: the other weights are brought to one.
select
    employee_id,
    'total' as measure,
    cast(null as decimal(18, 2)) as numerator,
    cast(null as decimal(18, 2)) as denominator,
    cast(null as decimal(18, 6)) as value,
    cast(null as decimal(18, 6)) as floor_value,
    cast(null as decimal(18, 6)) as target_value,
    cast(null as decimal(9, 6)) as attainment_cap,
    cast(
        round({{ ratio(
            'cast(sum(weight * attainment) as double)',
            'cast(sum(case when attainment is not null then weight end) as double)'
        ) }}, 6) as decimal(9, 6)
    ) as attainment,
    cast(sum(case when attainment is not null then weight end) as decimal(9, 6)) as weight,
    cast(
        round(100 * {{ ratio(
            'cast(sum(weight * attainment) as double)',
            'cast(sum(case when attainment is not null then weight end) as double)'
        ) }}, 2) as decimal(9, 2)
    ) as points
from attained
group by employee_id
