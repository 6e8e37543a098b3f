{{ config(materialized='table') }}

{#- Minimum account months for a tier's own costs; below it the product's are used. -#}
{%- set enough = 120 -%}
{%- set deposits = quoted_list(product_lines('deposit_rate')) -%}
{%- set priced_by_rate = product_lines('deposit_rate') + product_lines('loan_rate') -%}
{#- What defaults have cost is past: a price covers the loss that is expected. -#}
{%- set components = {
    'cost': 'direct_cost + overhead', 'loss': 'expected_loss - provision_change - realised_loss',
    'capital': 'capital_charge', 'fee': 'fee_income',
} -%}
{#- What capital funds of a deposit account's overdrafts is no part of a price for deposits. -#}
{%- set funded = 'case when product_term.product_line in ' ~ deposits ~ ' then 0 else'
    ~ ' of_product.funded_by_capital end' -%}

-- The linter cannot track the indentation of columns that a loop writes.
-- sqlfluff:exclude_rules:ST05,ST06,RF04,LT02
with run as (
    select * from {{ ref('base_refresh_window') }}
),

as_of_month as (
    select as_of_month as month from run
),

tier as (
    select * from {{ in_force(ref('tier_scheme'), [], 'as_of_month') }} as in_force
),

-- An account counts in the best tier among its holders.
account_tier as (
    select
        holder.account_id,
        min(customer.tier_number) as tier_number
    from {{ ref('base_account_holder') }} as holder
    inner join {{ ref('value_customer_tier') }} as customer
        on holder.customer_id = customer.customer_id
    inner join as_of_month on customer.month = as_of_month.month
    where holder.is_beneficial
    group by holder.account_id
),

account_month as (
    select
        account_month.product_id,
        account_tier.tier_number,
        abs(account_month.average_balance) as volume,
        {%- for name, parts in components.items() %}
        {{ parts }} as {{ name }},
        {%- endfor %}
        account_month.net_interest_margin as margin,
        account_month.funded_by_capital,
        account_month.direct_cost
    from {{ ref('value_account_month') }} as account_month
    cross join run
    left join account_tier on account_month.account_id = account_tier.account_id
    where
        account_month.month > {{ months_later('run.as_of_month', '-12') }}
        -- Without a known balance there are costs, and nothing that they are the price of.
        and account_month.closing_balance is not null
),

observed as (
    select
        product_id,
        tier_number,
        count(*) as account_months,
        sum(volume) as volume,
        {%- for name in components %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        sum(margin) as margin,
        sum(funded_by_capital) as funded_by_capital,
        sum(direct_cost) as direct_cost
    from account_month
    group by product_id, tier_number
),

of_product as (
    select
        product_id,
        sum(account_months) as account_months,
        sum(volume) as volume,
        {%- for name in components %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        sum(margin) as margin,
        sum(funded_by_capital) as funded_by_capital,
        sum(direct_cost) as direct_cost
    from observed
    group by product_id
),

-- The terms at which a product is held; none if it has no term.
product_term as (
    select distinct
        product_id,
        product_line,
        term_months
    from {{ ref('base_account') }}
),

chosen as (
    select
        product_term.product_id,
        product_term.product_line,
        product_term.term_months,
        tier.tier,
        tier.tier_number,
        coalesce(observed.account_months, 0) >= {{ enough }} as is_own,
        {%- for name in ['account_months', 'volume', 'cost', 'direct_cost', 'fee', 'margin'] %}
        case
            when coalesce(observed.account_months, 0) >= {{ enough }} then observed.{{ name }}
            else of_product.{{ name }}
        end as {{ name }},
        {%- endfor %}
        of_product.account_months as product_account_months,
        of_product.volume as product_volume,
        -- Risk is measured by product: tiers are assigned by outcomes that include losses, so a
        -- tier would price past losses instead of risk.
        of_product.loss,
        of_product.capital,
        {{ funded }} as funded_by_capital,
        term_price.transfer_price
    from product_term
    cross join tier
    inner join of_product on product_term.product_id = of_product.product_id
    inner join {{ ref('decisions_term_price') }} as term_price
        on
            product_term.product_id = term_price.product_id
            and coalesce(product_term.term_months, 0) = term_price.term_months
    left join observed
        on
            product_term.product_id = observed.product_id
            and tier.tier_number = observed.tier_number
),

-- Per unit of volume and year: the sum of monthly averages is twelve times the yearly average.
rated as (
    select
        *,
        product_line in {{ quoted_list(priced_by_rate) }} as has_rate,
        {%- for name, of_volume in {
            'cost': 'volume', 'loss': 'product_volume', 'capital': 'product_volume',
            'fee': 'volume',
        }.items() %}
        case
            when {{ of_volume }} > 0 and product_line in {{ quoted_list(priced_by_rate) }}
                then {{ per_volume(name, of_volume) }}
        end as {{ name }}_rate,
        {%- endfor %}
        case
            when product_volume > 0 and product_line in {{ quoted_list(priced_by_rate) }}
                then {{ from_millionths(divide_units(
                    units('funded_by_capital') ~ ' * 1000000', units('product_volume')
                )) }}
        end as capital_funded_share,
        {{ from_millionths(divide_units(units('direct_cost') ~ ' * 10000', 'account_months'), 18) }}
            as monthly_direct_cost,
        {{ from_millionths(divide_units(
            units('cost - direct_cost') ~ ' * 10000', 'account_months'
        ), 18) }} as monthly_overhead,
        {{ from_cents(divide_units(units('volume'), 'account_months')) }} as average_volume,
        {{ from_cents(divide_units(units('cost - margin'), 'account_months')) }}
        + {{ from_cents(divide_units(units('loss + capital'), 'product_account_months')) }}
            as fee_floor
    from chosen
),

-- The rate alone, without the fees that come in beside it.
floored as (
    select
        *,
        {{ rate_floor(
            'product_line in ' ~ deposits, funding_rate('transfer_price', 'capital_funded_share'),
            'cost_rate', 'loss_rate', 'capital_rate'
        ) }} as rate_floor
    from rated
),

-- A floor is a price: where none can be charged or paid, the row has the reason instead.
judged as (
    select
        *,
        case
            when has_rate and (volume = 0 or product_volume = 0)
                then 'no balance in twelve months'
            when has_rate and product_line in {{ deposits }} and rate_floor < 0
                then 'no rate earns the hurdle: cost, loss and capital exceed the transfer price'
            when not has_rate and fee_floor <= 0
                then 'no fee is needed: the margin covers cost, loss and capital'
        end as no_floor_reason
    from floored
)

select
    product_id,
    coalesce(term_months, 0) as term_months,
    tier,
    tier_number,
    product_line,
    case
        when not has_rate then 'lowest monthly fee'
        when product_line in {{ deposits }} then 'highest deposit rate'
        else 'lowest loan rate'
    end as floor_kind,
    case
        when has_rate and no_floor_reason is null then cast(rate_floor as decimal(18, 6))
    end as annual_rate,
    case
        when not has_rate and no_floor_reason is null then cast(fee_floor as decimal(18, 2))
    end as monthly_fee,
    cast(transfer_price as decimal(9, 6)) as transfer_price,
    {%- for name in components %}
    {{ name }}_rate,
    {%- endfor %}
    capital_funded_share,
    case when is_own then 'tier' else 'product' end as basis,
    cast(account_months as integer) as account_months,
    average_volume,
    monthly_direct_cost,
    monthly_overhead,
    no_floor_reason
from judged
