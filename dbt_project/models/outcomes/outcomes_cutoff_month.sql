with run as (
    select * from {{ ref('base_refresh_window') }}
),

history as (
    select
        *,
        {{ months_from_to('first_month', 'as_of_month') }} + 1 as months
    from run
),

plan as (
    select
        first_month,
        as_of_month,
        case
            {%- for horizon in outcome_horizons() %}
            when months >= 2 * {{ horizon }} + {{ least_history() }} then {{ horizon }}
            {%- endfor %}
        end as horizon
    from history
),

step as (
    {{ each_number('plan', most_cutoffs()) }}
),

cutoff as (
    select
        plan.first_month,
        plan.horizon,
        {{ months_later(
            'plan.as_of_month', '-plan.horizon - ' ~ cutoff_step() ~ ' * (step.number - 1)'
        ) }} as cutoff
    from plan
    cross join step
    where plan.horizon is not null
),

after as (
    {{ each_number('plan', 'horizon') }}
),

hurdle as (
    select cast(coalesce(max(parameter.hurdle_rate), 0) as double) as annual_rate
    from {{ ref('value_product_parameter') }} as parameter
    inner join run on parameter.month = run.as_of_month
)

select
    cutoff.cutoff,
    cutoff.horizon,
    cast(after.number as integer) as number,
    {{ months_later('cutoff.cutoff', 'after.number') }} as month,
    -- Margin arises through the month: discounted from its middle.
    power(1 + hurdle.annual_rate, cast(0.5 - after.number as double) / 12) as discount_factor
from cutoff
cross join after
cross join hurdle
where cutoff.cutoff >= {{ months_later('cutoff.first_month', least_history() - 1) }}
