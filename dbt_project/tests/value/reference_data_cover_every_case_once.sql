{#- Seeds in which a product's row takes precedence over its line's. -#}
{%- set by_product = [
    'transfer_rule', 'transfer_premium', 'interest_rule', 'account_maintenance_cost',
    'risk_parameter', 'offer_rule',
] -%}
{#- Empty for every currency without rows of its own. -#}
{%- set currency = "coalesce(currency, '*')" -%}
{#- Seeds with the columns that identify a row. -#}
{%- set keys = {
    'transfer_curve': [currency, 'effective_from', 'tenor_months'],
    'replicating_portfolio': ['portfolio', 'effective_from', 'tenor_months'],
    'transfer_rule': ['product_line', 'product_id', 'effective_from'],
    'transfer_premium': ['product_line', 'product_id', 'effective_from', 'tenor_months'],
    'interest_rule': ['product_line', 'product_id', 'effective_from'],
    'activity_unit_cost': ['channel', 'kind', 'effective_from'],
    'account_maintenance_cost': ['product_line', 'product_id', 'effective_from'],
    'overhead_pool': ['pool', 'product_line', 'branch_id', 'effective_from'],
    'risk_rating': ['effective_from', 'days_past_due_from'],
    'risk_parameter': ['product_line', 'product_id', 'effective_from'],
    'hurdle_rate': ['effective_from'],
    'loss_staging': ['effective_from'],
    'tier_scheme': ['effective_from', 'tier_number'],
    'target': ['dimension', 'dimension_key', 'month', 'measure'],
    'ledger_tolerance': ['product_line', 'ledger_account', 'effective_from'],
    'offer_rule': ['product_line', 'product_id', 'effective_from'],
    'manager_kpi': ['employee_id', 'effective_from', 'measure'],
} -%}
{#- Columns besides the keys that must not be empty either: measures and names. -#}
{%- set filled = {
    'transfer_curve': ['annual_rate'],
    'replicating_portfolio': ['weight'],
    'transfer_rule': [
        'portfolio', 'overdrawn_portfolio', 'tenor_basis', 'is_capital_funded',
    ],
    'transfer_premium': ['liquidity_premium', 'option_premium', 'policy_rate'],
    'interest_rule': ['is_accrued', 'day_count'],
    'activity_unit_cost': ['unit_cost'],
    'account_maintenance_cost': ['monthly_cost'],
    'overhead_pool': ['driver', 'monthly_amount', 'amount_per_open_account'],
    'risk_rating': ['pd_annual'],
    'risk_parameter': ['loss_given_default', 'credit_conversion_factor', 'capital_weight'],
    'hurdle_rate': ['annual_rate'],
    'loss_staging': ['stage_2_days', 'stage_2_pd_ratio', 'default_days', 'lifetime_loss'],
    'tier_scheme': ['tier'],
    'target': ['amount'],
    'ledger_tolerance': ['tolerance'],
    'offer_rule': ['is_offered', 'is_credit'],
    'manager_kpi': ['weight', 'floor_value', 'target_value', 'attainment_cap'],
} -%}
{#- Columns that must not be negative. -#}
{%- set not_negative = {
    'activity_unit_cost': ['unit_cost'],
    'account_maintenance_cost': ['monthly_cost'],
    'overhead_pool': ['monthly_amount', 'amount_per_open_account'],
    'risk_rating': ['pd_annual'],
    'risk_parameter': ['loss_given_default', 'credit_conversion_factor', 'capital_weight'],
    'hurdle_rate': ['annual_rate'],
    'loss_staging': ['stage_2_days', 'stage_2_pd_ratio', 'default_days'],
    'replicating_portfolio': ['weight'],
    'tier_scheme': ['customer_share'],
    'offer_rule': ['incentive_cost', 'minimum_age', 'minimum_months', 'minimum_inflow'],
    'ledger_tolerance': ['tolerance'],
    'manager_kpi': ['weight', 'attainment_cap'],
} -%}
{#- Shares: must not exceed one. -#}
{%- set shares = {
    'risk_rating': ['pd_annual'],
    'risk_parameter': ['loss_given_default', 'credit_conversion_factor'],
} -%}
{{ config(meta={'dagster': {'ref': {'name': 'value_account_month'}}}) }}
-- A missing case would be valued at zero; a case with two rows would count twice.
-- depends_on: {{ ref('value_account_month') }}
with product_line as (
    select product_line from {{ ref('product_line') }}
),

channel as (
    select channel from {{ ref('channel') }}
    union all
    select '(none)' as channel
),

band as (
    select
        effective_from,
        days_past_due_from,
        days_past_due_to,
        lag(days_past_due_to) over by_band as previous_to,
        row_number() over by_band as place,
        count(*) over (partition by effective_from) as bands
    from {{ ref('risk_rating') }}
    window by_band as (partition by effective_from order by days_past_due_from)
),

named_portfolio as (
    select portfolio from {{ ref('transfer_rule') }}
    union distinct
    select overdrawn_portfolio as portfolio from {{ ref('transfer_rule') }}
),

scheme as (
    select
        effective_from,
        sum(customer_share) as share,
        sum(case when customer_share is null then 1 else 0 end) as unprofitable
    from {{ ref('tier_scheme') }}
    group by effective_from
),

complaint as (
    {%- for seed, columns in keys.items() %}
    select
        '{{ seed }} holds twice: '
        || {{ columns | join(" || ', ' || ") }} as what
    from {{ ref(seed) }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
    union all
    {%- endfor %}
    {%- for seed in by_product %}
    select '{{ seed }} has no row from the beginning for the line ' || product_line.product_line
    from product_line
    left join {{ ref(seed) }} as given
        on
            given.product_line in ('*', product_line.product_line)
            and given.product_id = '*'
            and given.effective_from <= date '1900-01-01'
    where given.product_line is null
    union all
    select '{{ seed }} names an unknown product line: ' || given.product_line
    from {{ ref(seed) }} as given
    left join product_line on given.product_line = product_line.product_line
    where given.product_line <> '*' and product_line.product_line is null
    union all
    {%- endfor %}
    {%- for seed in [
        'transfer_curve', 'risk_rating', 'hurdle_rate', 'loss_staging', 'tier_scheme',
    ] %}
    select '{{ seed }} has no row from the beginning (effective_from 1900-01-01)'
    from {{ ref(seed) }}
    {%- if seed == 'transfer_curve' %}
    where currency is null
    {%- endif %}
    having min(effective_from) is null or min(effective_from) > date '1900-01-01'
    union all
    {%- endfor %}
    select 'transfer_curve has no row from the beginning for the currency ' || currency
    from {{ ref('transfer_curve') }}
    where currency is not null
    group by currency
    having min(effective_from) is null or min(effective_from) > date '1900-01-01'
    union all
    {%- for seed in keys %}
    {%- set holds_from = 'month' if seed == 'target' else 'effective_from' %}
    select '{{ seed }} holds from a day that is not the first of a month: ' || {{ holds_from }}
    from {{ ref(seed) }}
    where day({{ holds_from }}) <> 1
    union all
    {%- for column in keys[seed] + filled[seed] if column != currency %}
    select '{{ seed }} has rows with an empty {{ column }}: ' || count(*)
    from {{ ref(seed) }}
    where {{ column }} is null
    having count(*) > 0
    union all
    {%- endfor %}
    {%- endfor %}
    {%- for seed, columns in not_negative.items() %}
    {%- for column in columns %}
    select '{{ seed }} is below zero: {{ column }} ' || {{ column }}
    from {{ ref(seed) }}
    where {{ column }} < 0
    union all
    {%- endfor %}
    {%- endfor %}
    {%- for seed, columns in shares.items() %}
    {%- for column in columns %}
    select '{{ seed }} is a share above one: {{ column }} ' || {{ column }}
    from {{ ref(seed) }}
    where {{ column }} > 1
    union all
    {%- endfor %}
    {%- endfor %}
    select 'ledger_tolerance names an unknown product line: ' || given.product_line
    from {{ ref('ledger_tolerance') }} as given
    left join product_line on given.product_line = product_line.product_line
    where given.product_line <> '*' and product_line.product_line is null
    union all
    select 'ledger_tolerance names an unknown ledger account: ' || given.ledger_account
    from {{ ref('ledger_tolerance') }} as given
    left join {{ ref('result_item') }} as item on given.ledger_account = item.result_item
    where
        given.ledger_account not in {{ quoted_list(['*'] + booked_accounts()) }}
        and item.result_item is null
    union all
    select 'manager_kpi has no scheme for all from the beginning (employee_id *, 1900-01-01)'
    from {{ ref('manager_kpi') }}
    having
        count(*) filter (
            where employee_id = '*' and effective_from <= date '1900-01-01'
        ) = 0
    union all
    select
        'manager_kpi: the weights of ' || employee_id || ' from ' || effective_from || ' sum to '
        || sum(weight) || ', not 1'
    from {{ ref('manager_kpi') }}
    group by employee_id, effective_from
    having sum(weight) <> 1
    union all
    select 'manager_kpi has an unknown measure: ' || measure
    from {{ ref('manager_kpi') }}
    where measure not in {{ quoted_list(kpi_measures()) }}
    union all
    select 'manager_kpi has the same floor and target: ' || employee_id || ', ' || measure
    from {{ ref('manager_kpi') }}
    where floor_value = target_value
    union all
    {%- for seed in ['transfer_curve', 'transfer_premium'] %}
    select '{{ seed }} has a tenor below one month: ' || tenor_months
    from {{ ref(seed) }}
    where tenor_months < 1
    union all
    {%- endfor %}
    select 'transfer_rule has a tenor basis other than term and average_life: ' || tenor_basis
    from {{ ref('transfer_rule') }}
    where tenor_basis not in ('term', 'average_life')
    union all
    select
        'replicating_portfolio: the weights of ' || portfolio || ' from ' || effective_from
        || ' sum to ' || sum(weight) || ', not 1'
    from {{ ref('replicating_portfolio') }}
    group by portfolio, effective_from
    having sum(weight) <> 1 or min(tenor_months) < 1
    union all
    select
        'transfer_rule names a portfolio that is not there from the beginning: '
        || named_portfolio.portfolio
    from named_portfolio
    left join {{ ref('replicating_portfolio') }} as given
        on
            named_portfolio.portfolio = given.portfolio
            and given.effective_from <= date '1900-01-01'
    where named_portfolio.portfolio <> '(none)' and given.portfolio is null
    union all
    select 'interest_rule has a day count other than 360 and 365: ' || day_count
    from {{ ref('interest_rule') }}
    where day_count not in (360, 365)
    union all
    select 'transfer_rule fixes a rate for less than a month: ' || product_line
    from {{ ref('transfer_rule') }}
    where repricing_months < 1
    union all
    select 'activity_unit_cost has no row from the beginning for all kinds: ' || channel.channel
    from channel
    left join {{ ref('activity_unit_cost') }} as given
        on
            channel.channel = given.channel
            and given.kind = '*'
            and given.effective_from <= date '1900-01-01'
    where given.channel is null
    union all
    select 'activity_unit_cost names an unknown channel: ' || given.channel
    from {{ ref('activity_unit_cost') }} as given
    left join channel on given.channel = channel.channel
    where channel.channel is null
    union all
    select 'activity_unit_cost names an unknown kind: ' || given.kind
    from {{ ref('activity_unit_cost') }} as given
    left join {{ ref('booking_kind') }} as known on given.kind = known.kind
    where given.kind <> '*' and known.kind is null
    union all
    select 'overhead_pool ' || pool || ' has an unknown driver: ' || driver
    from {{ ref('overhead_pool') }}
    where driver not in {{ quoted_list(overhead_drivers()) }}
    union all
    select 'overhead_pool ' || given.pool || ' is borne by an unknown line: ' || given.product_line
    from {{ ref('overhead_pool') }} as given
    left join product_line on given.product_line = product_line.product_line
    where given.product_line <> '*' and product_line.product_line is null
    union all
    select 'risk_rating from ' || effective_from || ' leaves a gap or overlaps'
    from band
    where
        (place = 1 and days_past_due_from <> 0)
        or (place > 1 and days_past_due_from is distinct from previous_to + 1)
        or (place < bands and days_past_due_to is null)
        or (place = bands and days_past_due_to is not null)
    union all
    select
        'tier_scheme from ' || effective_from || ': the shares sum to ' || coalesce(share, 0)
        || ', not 1, or ' || unprofitable || ' tiers have none (one must)'
    from scheme
    where coalesce(share, 0) <> 1 or unprofitable <> 1
    union all
    select 'target plans by an unknown dimension or measure: ' || dimension || ', ' || measure
    from {{ ref('target') }}
    where
        dimension not in ('branch', 'line', 'product', 'manager')
        or measure not in {{ quoted_list(profit_measures() + ['customers']) }}
)

select what from complaint
