{# Shared by the models of the value layer: the measures, and the reference data of a month. #}

{# Measures that are additive over accounts. #}
{% macro additive_measures() %}
    {{ return([
        'average_balance', 'closing_balance', 'net_interest_margin', 'fee_income', 'direct_cost',
        'overhead', 'expected_loss', 'economic_capital', 'capital_charge',
    ]) }}
{% endmacro %}

{# Measures of the atom that delivered items of account_result replace or add to. #}
{% macro result_measures() %}
    {{ return([
        'interest_income', 'interest_expense', 'fee_income', 'direct_cost', 'expected_loss',
    ]) }}
{% endmacro %}

{# Columns replaces_… and adds_… by measure: the sums of the delivered items that replace it, or add to
   it; empty without any. #}
{% macro sums_of_items() -%}
    {%- for measure in result_measures() %}
    {%- set is_last = loop.last %}
    {%- for effect in ['replaces', 'adds'] %}
    sum(
        case
            when result.item in {{ quoted_list(result_items(measure, effect) or ['(none)']) }}
                then result.amount
        end
    ) as {{ effect }}_{{ measure }}{{ "," if not (is_last and loop.last) }}
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}

{# The products that accounts have, with their lines. #}
{% macro held_products() -%}
    select distinct
        product_id,
        product_line
    from {{ ref('base_account_month') }}
{%- endmacro %}

{# The month of each account's sale, by an attribute of the first contact that led to the account. #}
{% macro sale_by(attribute) -%}
    select
        responded_account_id as account_id,
        {{ month_of('responded_on') }} as month,
        {{ attribute }}
    from {{ ref('base_campaign_contact') }}
    where responded_account_id is not null and {{ attribute }} is not null
    qualify
        row_number() over (
            partition by responded_account_id
            order by responded_on asc, contacted_on asc, contact_id asc
        ) = 1
{%- endmacro %}

{# All measures of a roll-up that add up, in order: what reconciles with the atom. #}
{% macro profit_measures() %}
    {{ return([
        'average_balance', 'closing_balance', 'net_interest_margin', 'fee_income', 'direct_cost',
        'overhead', 'expected_loss', 'contribution_margin', 'economic_capital', 'capital_charge',
        'economic_profit',
    ]) }}
{% endmacro %}

{# The measures of a roll-up from its summed parts: the only place that derives measures. #}
{% macro profit_columns() %}
    {%- for measure in ['average_balance', 'closing_balance', 'net_interest_margin', 'fee_income',
        'direct_cost', 'overhead', 'expected_loss'] %}
    cast({{ measure }} as decimal(18, 2)) as {{ measure }},
    {%- endfor %}
    {{ contribution_margin() }} as contribution_margin,
    cast(economic_capital as decimal(18, 2)) as economic_capital,
    cast(capital_charge as decimal(18, 2)) as capital_charge,
    {{ economic_profit() }} as economic_profit,
    {{ raroc() }} as raroc
{%- endmacro %}

{% macro contribution_margin() -%}
    cast(net_interest_margin + fee_income - direct_cost - expected_loss as decimal(18, 2))
{%- endmacro %}

{% macro economic_profit() -%}
    cast(
        net_interest_margin + fee_income - direct_cost - expected_loss - overhead - capital_charge
        as decimal(18, 2)
    )
{%- endmacro %}

{# Risk-adjusted return on capital, yearly: the result after expected loss and overhead, before the
   capital charge, times the periods of a year, over the economic capital; to six places, empty
   without capital. #}
{% macro raroc(periods=12) -%}
    case
        when economic_capital > 0
            then cast(
                round(
                    cast(
                        {{ periods }} * (
                            net_interest_margin + fee_income - direct_cost - expected_loss
                            - overhead
                        ) as double
                    ) / cast(economic_capital as double),
                    6
                ) as decimal(18, 6)
            )
    end
{%- endmacro %}

{# A roll-up: the rows of `relation` (a relation with the additive measures and a month), summed by
   `keys`, a mapping of columns to expressions. #}
{% macro roll_up(relation, keys) %}
rolled as (
    select
        {%- for name, expression in keys.items() %}
        {{ expression }} as {{ name }},
        {%- endfor %}
        month
        {%- for measure in additive_measures() %},
        sum({{ measure }}) as {{ measure }}
        {%- endfor %}
    from {{ relation }}
    group by {{ keys.values() | join(', ') }}, month
)

select
    {%- for name in keys %}
    {{ name }},
    {%- endfor %}
    month,
    {{- profit_columns() }}
from rolled
{%- endmacro %}

{# The rows of a seed that apply in each month of a relation: for each key, those with the latest
   effective_from that is not after the month. #}
{% macro in_force(seed, keys, months) -%}
    (
        select
            {{ months }}.month,
            seed.*
        from {{ months }}
        inner join {{ seed }} as seed on {{ months }}.month >= seed.effective_from
        qualify
            rank() over (
                partition by {{ ([months ~ '.month'] + keys) | join(', ') }}
                order by seed.effective_from desc
            ) = 1
    )
{%- endmacro %}

{# The rows of a seed by product line and product that apply to each product and month: those of the
   product take precedence over those of its line (product_id *), which take precedence over those of
   all lines (product_line *). #}
{% macro in_force_by_product(seed, months, products) -%}
    (
        select
            {{ products }}.product_id as for_product_id,
            rule.*
        from {{ products }}
        inner join {{ in_force(seed, ['seed.product_line', 'seed.product_id'], months) }} as rule
            on
                rule.product_line in ('*', {{ products }}.product_line)
                and rule.product_id in ('*', {{ products }}.product_id)
        qualify
            rank() over (
                partition by {{ products }}.product_id, rule.month
                order by
                    case when rule.product_id = '*' then 1 else 0 end,
                    case when rule.product_line = '*' then 1 else 0 end
            ) = 1
    )
{%- endmacro %}

{# The drivers of overhead allocation: columns of value_overhead_driver, in whole units. #}
{% macro overhead_drivers() %}
    {{ return([
        'open_account', 'opened_account', 'booking', 'branch_booking', 'average_balance',
        'amount_owed', 'past_due_account',
    ]) }}
{% endmacro %}

{# The units of the driver that `driver` names. #}
{% macro driver_units(relation, driver) -%}
    case {{ driver }}
        {%- for name in overhead_drivers() %}
        when '{{ name }}' then {{ relation }}.{{ name }}
        {%- endfor %}
    end
{%- endmacro %}

{# Profit of customers in the refreshed months, with an attribute of the customer as known at the end
   of each month. #}
{% macro profit_with_attribute(attribute) %}
    select
        profit.*,
        coalesce(customer.{{ attribute }}, '(none)') as {{ attribute }}
    from {{ ref('value_profit_by_customer') }} as profit
    cross join run
    left join {{ ref('base_customer_history') }} as customer
        on
            profit.customer_id = customer.customer_id
            and customer.valid_from <= last_day(profit.month)
            and (customer.valid_to is null or customer.valid_to > last_day(profit.month))
    where profit.month between run.month_from and run.month_to
{%- endmacro %}

{# A roll-up of value.account_month, or of its parts by branch, by a column of the account. #}
{% macro account_profit_by(key, expression, relation='value_account_month') %}
with run as (
    select * from {{ ref('base_refresh_window') }}
),

account_month as (
    select account_month.*
    from {{ ref(relation) }} as account_month
    cross join run
    where account_month.month between run.month_from and run.month_to
),

{{ roll_up('account_month', {key: expression}) }}
{%- endmacro %}

{# A roll-up of customers' profit by a customer attribute, as known at the end of each month. #}
{% macro customer_profit_by(attribute) %}
with run as (
    select * from {{ ref('base_refresh_window') }}
),

customer_profit as (
    {{- profit_with_attribute(attribute) }}
),

{{ roll_up('customer_profit', {attribute: attribute}) }}
{%- endmacro %}
