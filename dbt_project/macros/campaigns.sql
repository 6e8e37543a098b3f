{# Measurement of campaigns: the windows, the probability of treatment, sums by stratum and arm. #}

{# Months after the month of the contact over which contribution is summed; the balance is at their
   end. #}
{% macro outcome_months() %}{{ return(3) }}{% endmacro %}

{# Minimum and maximum months before the month of the contact for the covariate of contribution. #}
{% macro covariate_months() %}{{ return({'least': 3, 'most': 12}) }}{% endmacro %}

{# A campaign with more probabilities of treatment than this has no strata: customers are weighted. #}
{% macro most_strata() %}{{ return(20) }}{% endmacro %}

{# The probability of treatment, from the probability of the assigned arm. A probability of 0 is a
   wrong record, so it is unknown. Six decimals, because 1 - 0.7 is not exactly 0.3. #}
{% macro chance_of_treatment(arm, probability) -%}
    case
        when {{ probability }} > 0
            then round(
                case
                    when {{ arm }} = 'treatment' then {{ probability }}
                    else 1 - {{ probability }}
                end, 6
            )
    end
{%- endmacro %}

{# A sum of doubles depends on the order of the rows, so they are added as decimals. #}
{% macro exact_sum(amount) -%}
    cast(sum(cast({{ amount }} as decimal(38, 8))) as double)
{%- endmacro %}

{# The weights that make both arms of a campaign without strata represent all of its customers, or
   the controls represent the treated. #}
{% macro weights_of() %}
    {{ return({
        'all': "case when arm = 'treatment' then 1 / share else 1 / (1 - share) end",
        'treated': "case when arm = 'treatment' then 1 else share / (1 - share) end",
    }) }}
{% endmacro %}

{# Sums of outcomes by keys, stratum and arm: the input of `Strata` in ml/evaluation/experiment.py.

   `customer` is a preceding query with the keys, arm, share (the probability of treatment, null if
   unknown), y (outcome) and x (covariate, null without one); `stands_for` lists weights of
   `weights_of`; `within` is a column that distinguishes strata of one share. #}
{% macro sums_by_stratum(customer, keys, stands_for=['all', 'treated'], within=none) -%}
counted as (
    select
        {{ keys | join(',\n        ') }},
        count(distinct share) > {{ most_strata() }} as is_continuous
    from {{ customer }}
    group by {{ keys | join(', ') }}
),

-- Customers with a probability of 0 or 1 form a stratum, regardless of the weights of the others.
placed as (
    select
        {{ customer }}.*,
        coalesce(
            counted.is_continuous and {{ customer }}.share > 0 and {{ customer }}.share < 1, false
        ) as is_weighted
    from {{ customer }}
    inner join counted
        on
            {%- for key in keys %}
            {{ 'and ' if not loop.first }}{{ customer }}.{{ key }} = counted.{{ key }}
            {%- endfor %}
),

weighted as (
    {%- for one in stands_for %}
    select
        *,
        '{{ one }}' as stands_for,
        {{ within ~ " || ' ' || " if within }}case
            when share is null then 'unknown'
            when is_weighted then 'weighted'
            else cast(share as varchar)
        end as stratum,
        cast(case when is_weighted then {{ weights_of()[one] }} else 1 end as double) as w,
        coalesce(x, 0) as known
    from placed
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    {{ keys | join(',\n    ') }},
    stands_for,
    stratum,
    arm,
    cast(count(*) as double) as n,
    {{ exact_sum('w') }} as w,
    {{ exact_sum('w * y') }} as wy,
    {{ exact_sum('w * known') }} as wx,
    {{ exact_sum('w * w') }} as ww,
    {{ exact_sum('w * w * y') }} as wwy,
    {{ exact_sum('w * w * known') }} as wwx,
    {{ exact_sum('w * w * y * y') }} as wwyy,
    {{ exact_sum('w * w * known * known') }} as wwxx,
    {{ exact_sum('w * w * known * y') }} as wwxy,
    {{ exact_sum('share') }} as p,
    {{ exact_sum('share * (1 - share)') }} as pq,
    count(x) as covariates
from weighted
group by {{ keys | join(', ') }}, stands_for, stratum, arm
{%- endmacro %}
