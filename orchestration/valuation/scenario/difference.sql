{#- The roll-ups of the scenario beside those of the release, over the as-of month and the last twelve
    months; `all` sums the lines. -#}
{%- set measures = ['contribution_margin', 'economic_profit', 'raroc'] -%}
{%- set sums = [
    'net_interest_margin', 'fee_income', 'direct_cost', 'expected_loss', 'overhead',
    'economic_capital', 'capital_charge',
] -%}
{%- set keys = {
    'all': "'all'", 'line': 'product_line', 'product': 'product_id', 'branch': 'branch_id', 'tier': 'tier',
} -%}
with period as (
    select
        period,
        cast(cast($as_of as date) - to_months(months - 1) as date) as first_month
    from (values ('month', 1), ('twelve months', 12)) as given (period, months)
),

{% for origin, database in {'released': 'release', 'valued': 'warehouse'}.items() %}
{{ origin }}_month as (
    {%- for dimension, key in keys.items() %}
    select
        '{{ dimension }}' as dimension,
        cast({{ key }} as varchar) as dimension_key,
        month
        {%- for measure in sums %},
        {{ measure }}
        {%- endfor %}
    from {{ database }}.value.profit_by_{{ 'line' if dimension == 'all' else dimension }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

{{ origin }}_sum as (
    select
        period,
        dimension,
        dimension_key
        {%- for measure in sums %},
        sum({{ measure }}) as {{ measure }}
        {%- endfor %}
    from {{ origin }}_month
    inner join period on first_month <= month and month <= $as_of
    group by period, dimension, dimension_key
),

{{ origin }} as (
    select
        period,
        dimension,
        dimension_key,
        {{ contribution_margin() }} as contribution_margin,
        {{ economic_profit() }} as economic_profit,
        {{ raroc() }} as raroc
    from {{ origin }}_sum
){{ "," if not loop.last }}
{% endfor %}

select
    period,
    dimension,
    dimension_key
    {%- for measure in measures %},
    released.{{ measure }} as {{ measure }}_release,
    valued.{{ measure }} as {{ measure }}_scenario,
    {%- if measure == 'raroc' %}
    valued.raroc - released.raroc as raroc_difference
    {%- else %}
    coalesce(valued.{{ measure }}, 0) - coalesce(released.{{ measure }}, 0)
        as {{ measure }}_difference
    {%- endif %}
    {%- endfor %}
from released
full join valued using (period, dimension, dimension_key)
order by
    period desc,
    case dimension
        {%- for dimension in keys %}
        when '{{ dimension }}' then {{ loop.index }}
        {%- endfor %}
    end,
    dimension_key
