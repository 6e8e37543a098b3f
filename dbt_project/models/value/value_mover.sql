{{ config(materialized='table') }}

{#- The quarter that ends with the as-of month against the one before it. -#}
{%- set quarter = 3 -%}
{%- set before_last = '-' ~ (2 * quarter - 1) -%}
{%- set shown = 100 -%}
{%- set effects = ['volume', 'rate', 'fee', 'cost', 'risk'] -%}
{%- set dimensions = {
    'customer': 'customer_id', 'product': 'product_id', 'branch': 'branch_id',
    'line': 'product_line', 'manager': 'employee_id',
} -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

unpriced as (
    select distinct account_month.account_id
    from {{ ref('value_account_month') }} as account_month
    cross join run
    where
        account_month.closing_balance is null
        and account_month.month between {{ months_later('run.as_of_month', before_last) }}
        and run.as_of_month
),

account_month as (
    select
        account_month.account_id,
        account_month.product_id,
        account_month.product_line,
        coalesce(account_month.branch_id, '(none)') as branch_id,
        account_month.month > {{ months_later('run.as_of_month', '-' ~ quarter) }} as is_now,
        account_month.average_balance,
        account_month.net_interest_margin,
        account_month.fee_income,
        account_month.direct_cost,
        account_month.overhead,
        account_month.expected_loss,
        account_month.capital_charge
    from {{ ref('value_account_month') }} as account_month
    cross join run
    -- What an account earned is not known while its balance is not: nor is a change of it.
    left join unpriced on account_month.account_id = unpriced.account_id
    where
        unpriced.account_id is null
        and account_month.month between {{ months_later('run.as_of_month', before_last) }}
        and run.as_of_month
),

holder as (
    select *
    from {{ ref('base_account_holder') }}
    where is_beneficial
),

share as (
    select
        account_month.account_id,
        coalesce(holder.customer_id, '(none)') as customer_id,
        account_month.product_id,
        account_month.product_line,
        account_month.branch_id,
        account_month.is_now,
        {%- for measure in ['average_balance', 'net_interest_margin', 'fee_income', 'direct_cost',
            'overhead', 'expected_loss', 'capital_charge'] %}
        {{ equal_share(
            'account_month.' ~ measure, 'coalesce(holder.holder_count, 1)',
            'coalesce(holder.holder_number, 1)'
        ) }} as {{ measure }}{{ "," if not loop.last }}
        {%- endfor %}
    from account_month
    left join holder on account_month.account_id = holder.account_id
),

-- One row per account and holder: the previous and the current quarter, side by side.
paired as (
    select
        share.account_id,
        share.customer_id,
        coalesce(customer.employee_id, '(none)') as employee_id,
        share.product_id,
        share.product_line,
        share.branch_id,
        {%- for time, condition in {'before': 'not share.is_now', 'now': 'share.is_now'}.items() %}
        {%- for name, parts in {
            'volume': 'share.average_balance', 'margin': 'share.net_interest_margin',
            'fee': 'share.fee_income', 'cost': 'share.direct_cost + share.overhead',
            'risk': 'share.expected_loss + share.capital_charge',
        }.items() %}
        sum(case when {{ condition }} then {{ parts }} else 0 end) as {{ name }}_{{ time }},
        {%- endfor %}
        {%- endfor %}
        count(*) as months
    from share
    left join {{ ref('base_customer') }} as customer on share.customer_id = customer.customer_id
    group by
        share.account_id, share.customer_id, coalesce(customer.employee_id, '(none)'),
        share.product_id, share.product_line, share.branch_id
),

-- The volume effect is the change of volume at the yield of the quarter with the larger volume; the
-- rate effect is the rest of the margin's change: the change of yield on the smaller volume. If the
-- balance changed its sign, there is no common volume and the whole change is volume.
volumed as (
    select
        *,
        case
            when sign(volume_before) * sign(volume_now) < 0 then margin_now - margin_before
            when abs(volume_before) >= abs(volume_now) and volume_before <> 0
                then {{ from_cents(divide_units(
                    units('(volume_now - volume_before) * ' ~ direction('volume_before')) ~ ' * '
                    ~ units('margin_before'), units('abs(volume_before)')
                )) }}
            when volume_now <> 0
                then {{ from_cents(divide_units(
                    units('(volume_now - volume_before) * ' ~ direction('volume_now')) ~ ' * '
                    ~ units('margin_now'), units('abs(volume_now)')
                )) }}
            else 0
        end as volume
    from paired
),

effect as (
    select
        *,
        margin_before + fee_before - cost_before - risk_before as profit_before,
        margin_now + fee_now - cost_now - risk_now as profit_now,
        margin_now - margin_before - volume as rate,
        fee_now - fee_before as fee,
        cost_before - cost_now as cost,
        risk_before - risk_now as risk
    from volumed
),

moved as (
    {%- for dimension, key in dimensions.items() %}
    select
        '{{ dimension }}' as dimension,
        {{ key }} as dimension_key,
        sum(profit_before) as profit_before,
        sum(profit_now) as profit_now,
        {%- for name in effects %}
        sum({{ name }}) as {{ name }}{{ "," if not loop.last }}
        {%- endfor %}
    from effect
    group by {{ key }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

changed as (
    select
        *,
        profit_now - profit_before as change,
        case when profit_now >= profit_before then 1 else -1 end as side
    from moved
    where profit_now <> profit_before
),

ranked as (
    select
        *,
        row_number() over (
            partition by dimension, side order by abs(change) desc, dimension_key asc
        ) as place,
        greatest(
            {%- for name in effects %}
            side * {{ name }}{{ "," if not loop.last }}
            {%- endfor %}
        ) as largest
    from changed
)

select
    dimension,
    case when side > 0 then 'gain' else 'loss' end as direction,
    cast(place as integer) as place,
    dimension_key,
    cast(profit_before as decimal(18, 2)) as economic_profit_before,
    cast(profit_now as decimal(18, 2)) as economic_profit,
    cast(change as decimal(18, 2)) as change,
    {%- for name in effects %}
    cast({{ name }} as decimal(18, 2)) as {{ name }}_effect,
    {%- endfor %}
    case
        {%- for name in effects %}
        when side * {{ name }} = largest then '{{ name }}'
        {%- endfor %}
    end as reason
from ranked
where place <= {{ shown }}
