{%- set on_credit = 'exposed.product_line in ' ~ quoted_list(product_lines('is_credit')) -%}

-- The linter loses the indentation of columns written by a loop.
-- sqlfluff:exclude_rules:LT02,RF04
with run as (
    select * from {{ ref('base_refresh_window') }}
),

own_curve as (
    select distinct currency from {{ ref('value_transfer_curve') }}
),

account_month as (
    select
        account_month.*,
        coalesce(own_curve.currency, '*') as curve_currency,
        -- What is not known is not priced.
        {{ units('coalesce(account_month.balance_day_sum, 0)') }} as balance_day_cents,
        -- Money that an account without credit owes is lent: it has a price of its own.
        case
            when account_month.product_line in {{ quoted_list(product_lines('is_credit')) }} then 0
            else {{ units('coalesce(account_month.overdrawn_day_sum, 0)') }}
        end as overdrawn_day_cents,
        {{ month_of('account_month.priced_on') }} as began_month,
        -- Whole months from the agreement to the month's first day: a month is priced as it begins.
        greatest(
            {{ months_from_to('account_month.priced_on', 'account_month.month') }}
            - case when day(account_month.priced_on) > 1 then 1 else 0 end,
            0
        ) as age
    from {{ ref('base_account_month') }} as account_month
    cross join run
    left join own_curve on account_month.currency = own_curve.currency
    where account_month.month between run.month_from and run.month_to
),

fixed as (
    select
        account_month.*,
        coalesce(above_zero.annual_rate, parameter.transfer_price) as transfer_price,
        coalesce(below_zero.annual_rate, parameter.overdrawn_price) as overdrawn_price,
        parameter.is_funded,
        parameter.maintenance_cost,
        parameter.capital_weight,
        parameter.hurdle_rate,
        -- A term is renewed when it ends; within it the rate is fixed for the agreed time.
        least(
            coalesce(parameter.repricing_months, account_month.term_months),
            account_month.term_months
        ) as fixed_for,
        parameter.tenor_basis,
        parameter.is_capital_funded,
        {%- for part in premium_parts() %}
        parameter.{{ part }} as portfolio_{{ part }},
        parameter.overdrawn_{{ part }},
        {%- endfor %}
        account_month.age % account_month.term_months as age_in_term
    from account_month
    inner join {{ ref('value_product_parameter') }} as parameter
        on
            account_month.product_id = parameter.product_id
            and account_month.month = parameter.month
    -- The parameters have the price of the bank's currency.
    {%- for side in ['above', 'below'] %}
    left join {{ ref('value_transfer_price') }} as {{ side }}_zero
        on
            account_month.product_id = {{ side }}_zero.product_id
            and account_month.curve_currency = {{ side }}_zero.currency
            and account_month.month = {{ side }}_zero.month
            and {{ side }}_zero.side = '{{ side }} zero'
            and {{ side }}_zero.currency <> '*'
    {%- endfor %}
),

-- The rate is fixed for a part of the term, the liquidity is bound for all of it.
timed as (
    select
        *,
        term_months - age_in_term + age_in_term % fixed_for as left_of_term
    from fixed
),

priced as (
    select
        *,
        {{ months_later('began_month', 'age - age_in_term % fixed_for') }} as priced_month,
        {{ rate_tenor('tenor_basis', 'least(fixed_for, left_of_term)', 'left_of_term') }}
            as priced_tenor,
        {{ months_later('began_month', 'age - age_in_term') }} as liquidity_month,
        {{ rate_tenor('tenor_basis', 'term_months', 'term_months') }} as liquidity_tenor
    from timed
),

activity_cost as (
    select
        activity.account_id,
        activity.month,
        sum(activity.bookings * unit_cost.unit_cost) as cost
    from {{ ref('base_account_activity') }} as activity
    cross join run
    inner join {{ ref('value_unit_cost') }} as unit_cost
        on
            activity.channel = unit_cost.channel
            and activity.kind = unit_cost.kind
            and activity.month = unit_cost.month
    where activity.month between run.month_from and run.month_to
    group by activity.account_id, activity.month
),

overhead as (
    select
        overhead.account_id,
        overhead.month,
        sum(overhead.amount) as amount
    from {{ ref('value_overhead') }} as overhead
    cross join run
    where overhead.month between run.month_from and run.month_to
    group by overhead.account_id, overhead.month
),

-- Results that the bank delivers by item.
delivered as (
    select
        result.account_id,
        result.month,
        {{ sums_of_items() }}
    from {{ ref('base_account_result') }} as result
    cross join run
    where result.month between run.month_from and run.month_to
    group by result.account_id, result.month
),

exposed as (
    select
        priced.*,
        risk.exposure,
        risk.probability_of_default,
        risk.default_model_version,
        risk.expected_loss,
        risk.stage,
        risk.loss_allowance,
        risk.provision,
        risk.provision_change,
        risk.realised_loss,
        curve.month as curve_month,
        curve.tenor_months as curve_tenor,
        case when curve.month is not null then priced.liquidity_month end as bound_month,
        case when curve.month is not null then priced.liquidity_tenor end as bound_tenor,
        case
            when curve.month is null then priced.portfolio_liquidity_premium
            else coalesce(bound.liquidity_premium, 0)
        end as liquidity_premium,
        {%- for part in ['option_premium', 'policy_rate'] %}
        case
            when curve.month is null then priced.portfolio_{{ part }}
            else coalesce(premium.{{ part }}, 0)
        end as {{ part }},
        {%- endfor %}
        coalesce(
            curve.annual_rate + coalesce(bound.liquidity_premium, 0)
            + coalesce(premium.option_premium, 0) + coalesce(premium.policy_rate, 0),
            priced.transfer_price
        ) as annual_rate,
        -- The part of what is owed that capital funds, in cents and days.
        case
            when priced.is_capital_funded
                then
                    least(
                        {{ divide_units(
                            units('risk.exposure') ~ ' * ' ~ units('priced.capital_weight', 6),
                            '1000000'
                        ) }} * day(last_day(priced.month)),
                        -{{ units('coalesce(priced.overdrawn_day_sum, 0)') }}
                    )
            else 0
        end as capital_day_cents
    from priced
    inner join {{ ref('value_credit_risk') }} as risk
        on priced.account_id = risk.account_id and priced.month = risk.month
    -- Customers' money that is not on the bank's books has no price, whatever its term.
    left join {{ ref('value_transfer_curve') }} as curve
        on
            priced.is_funded
            and priced.curve_currency = curve.currency
            and priced.priced_month = curve.month
            and priced.priced_tenor = curve.tenor_months
    left join {{ ref('value_transfer_premium') }} as premium
        on
            priced.product_id = premium.product_id
            and priced.priced_tenor = premium.tenor_months
            and priced.priced_month >= premium.effective_from
            and (premium.effective_to is null or priced.priced_month < premium.effective_to)
    left join {{ ref('value_transfer_premium') }} as bound
        on
            priced.product_id = bound.product_id
            and priced.liquidity_tenor = bound.tenor_months
            and priced.liquidity_month >= bound.effective_from
            and (bound.effective_to is null or priced.liquidity_month < bound.effective_to)
),

-- Treasury funds what capital does not: the days of each side of zero that have a price.
funded as (
    select
        exposed.*,
        exposed.balance_day_cents - exposed.overdrawn_day_cents
        + case when {{ on_credit }} then exposed.capital_day_cents else 0 end as priced_day_cents,
        exposed.overdrawn_day_cents
        + case when {{ on_credit }} then 0 else exposed.capital_day_cents end
            as overdrawn_priced_day_cents
    from exposed
),

measured as (
    select
        exposed.account_id,
        exposed.month,
        exposed.product_id,
        exposed.product_line,
        exposed.branch_id,
        exposed.average_balance,
        exposed.closing_balance,
        cast(exposed.annual_rate as decimal(9, 6)) as transfer_price,
        exposed.curve_currency,
        exposed.curve_month,
        exposed.curve_tenor,
        exposed.bound_month as liquidity_month,
        exposed.bound_tenor as liquidity_tenor,
        cast(
            coalesce(
                delivered.replaces_interest_income,
                case when {{ on_credit }} then accrued.interest end,
                -exposed.interest_charged
            ) + coalesce(delivered.adds_interest_income, 0) as decimal(18, 2)
        ) as interest_income,
        cast(
            coalesce(
                delivered.replaces_interest_expense,
                case when not {{ on_credit }} then accrued.interest end,
                exposed.interest_paid
            ) + coalesce(delivered.adds_interest_expense, 0) as decimal(18, 2)
        ) as interest_expense,
        cast(-exposed.interest_charged as decimal(18, 2)) as interest_income_booked,
        exposed.interest_paid as interest_expense_booked,
        case
            when
                delivered.replaces_interest_income is null
                and delivered.replaces_interest_expense is null
                then accrued.accrued_interest
        end as accrued_interest,
        case
            when exposed.overdrawn_day_cents < 0 then exposed.overdrawn_price
        end as overdrawn_price,
        {%- for name, rate in {
            'transfer_result': ['annual_rate', 'overdrawn_price'],
            'transfer_liquidity': ['liquidity_premium', 'overdrawn_liquidity_premium'],
            'transfer_option': ['option_premium', 'overdrawn_option_premium'],
            'transfer_policy': ['policy_rate', 'overdrawn_policy_rate'],
        }.items() %}
        {{ from_cents(divide_units(
            '(exposed.priced_day_cents * ' ~ units('exposed.' ~ rate[0], 6)
            ~ ' + exposed.overdrawn_priced_day_cents * ' ~ units('exposed.' ~ rate[1], 6) ~ ')',
            '365000000'
        )) }} as {{ name }},
        {%- endfor %}
        {{ from_cents(divide_units('exposed.capital_day_cents', 'day(last_day(exposed.month))')) }}
            as funded_by_capital,
        cast(
            coalesce(delivered.replaces_fee_income, -exposed.fees)
            + coalesce(delivered.adds_fee_income, 0) as decimal(18, 2)
        ) as fee_income,
        cast(
            coalesce(
                delivered.replaces_direct_cost,
                {{ to_money(
                    'coalesce(activity_cost.cost, 0)'
                    ~ ' + case when exposed.days_open > 0 then exposed.maintenance_cost else 0 end'
                ) }}
            ) + coalesce(delivered.adds_direct_cost, 0) as decimal(18, 2)
        ) as direct_cost,
        cast(coalesce(overhead.amount, 0) as decimal(18, 2)) as overhead,
        exposed.probability_of_default,
        exposed.default_model_version,
        exposed.exposure,
        cast(
            coalesce(delivered.replaces_expected_loss, exposed.expected_loss)
            + coalesce(delivered.adds_expected_loss, 0) as decimal(18, 2)
        ) as expected_loss,
        exposed.stage,
        exposed.loss_allowance,
        exposed.provision,
        exposed.provision_change,
        exposed.realised_loss,
        {{ from_cents(divide_units(
            units('exposed.exposure') ~ ' * ' ~ units('exposed.capital_weight', 6), '1000000'
        )) }} as economic_capital,
        {{ from_cents(divide_units(
            units('exposed.exposure') ~ ' * ' ~ units('exposed.capital_weight', 6) ~ ' * '
            ~ units('exposed.hurdle_rate', 6), '12000000000000'
        )) }} as capital_charge
    from funded as exposed
    left join activity_cost
        on
            exposed.account_id = activity_cost.account_id
            and exposed.month = activity_cost.month
    left join overhead
        on exposed.account_id = overhead.account_id and exposed.month = overhead.month
    left join {{ ref('value_accrued_interest') }} as accrued
        on exposed.account_id = accrued.account_id and exposed.month = accrued.month
    left join delivered
        on exposed.account_id = delivered.account_id and exposed.month = delivered.month
),

margin as (
    select
        *,
        cast(
            interest_income - interest_expense + transfer_result as decimal(18, 2)
        ) as net_interest_margin
    from measured
)

select
    account_id,
    month,
    product_id,
    product_line,
    branch_id,
    average_balance,
    closing_balance,
    transfer_price,
    curve_currency,
    curve_month,
    curve_tenor,
    liquidity_month,
    liquidity_tenor,
    overdrawn_price,
    interest_income,
    interest_expense,
    interest_income_booked,
    interest_expense_booked,
    accrued_interest,
    transfer_result,
    transfer_liquidity,
    transfer_option,
    transfer_policy,
    funded_by_capital,
    net_interest_margin,
    fee_income,
    direct_cost,
    overhead,
    expected_loss,
    {{ contribution_margin() }} as contribution_margin,
    exposure,
    economic_capital,
    capital_charge,
    {{ economic_profit() }} as economic_profit,
    {{ raroc() }} as raroc,
    probability_of_default,
    default_model_version,
    stage,
    loss_allowance,
    provision,
    provision_change,
    realised_loss
from margin
