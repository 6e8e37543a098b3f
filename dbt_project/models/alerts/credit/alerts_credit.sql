-- Watch: a day past due, or a probability that doubled to a material level. Warning: the first
-- class of arrears or one in ten. Alarm: the second class or one in five.
{%- set watched, warned, alarming = 0.05, 0.10, 0.20 -%}
{%- set late, warned_late, alarming_late = 1, 30, 60 -%}
{%- set doubled = 2 %}

with run as (
    select * from {{ ref('base_refresh_window') }}
),

-- A probability over a shorter horizon is converted to a year with the same monthly hazard.
loan as (
    select
        loan.*,
        1 - power(1 - score.p_default, 12.0 / course.horizon_months) as p_default,
        1 - power(1 - course.p_default_before, 12.0 / course.horizon_months) as p_default_before,
        course.expected_lead_months,
        score.default_model_version
    from {{ ref('alerts_loan') }} as loan
    inner join {{ ref('scores_customer') }} as score on loan.customer_id = score.customer_id
    inner join {{ source('alerts', 'default_course') }} as course
        on loan.customer_id = course.customer_id
    where not loan.is_defaulted and score.p_default is not null
),

judged as (
    select
        *,
        case
            when p_default >= {{ alarming }} or days_past_due >= {{ alarming_late }} then 'alarm'
            when p_default >= {{ warned }} or days_past_due >= {{ warned_late }} then 'warning'
            when
                (p_default >= {{ watched }} and p_default >= {{ doubled }} * p_default_before)
                or days_past_due >= {{ late }}
                then 'watch'
        end as severity
    from loan
),

why as (
    select
        customer_id,
        {{
            joined_text(
                "feature || ' ' || coalesce(nullif(value, ''), 'none')"
                ~ " || ' (usual ' || coalesce(nullif(usual, ''), 'none') || ' of ' || usual_of"
                ~ " || case when before <> '' then ', before ' || before else '' end || ')'",
                '; ',
                'rank',
            )
        }} as raised
    from {{ source('scores', 'reason') }}
    where model_name = 'default' and direction = 'raises'
    group by customer_id
)

select
    judged.account_id,
    judged.customer_id,
    run.as_of_month as month,
    judged.severity,
    case
        when judged.is_borrower_defaulted then 'another loan of the borrower is in default; '
        else ''
    end
    || case
        when judged.days_past_due > 0 then judged.days_past_due || ' days past due; '
        else ''
    end
    || coalesce(why.raised, 'probability of default ' || round(judged.p_default, 3)) as reason,
    judged.p_default,
    judged.p_default_before,
    judged.expected_lead_months,
    judged.days_past_due,
    judged.exposure,
    judged.loss_given_default,
    cast(
        judged.exposure * judged.p_default * judged.loss_given_default as decimal(18, 2)
    ) as expected_loss_12m,
    judged.employee_id,
    judged.default_model_version
from judged
cross join run
left join why on judged.customer_id = why.customer_id
where judged.severity is not null
