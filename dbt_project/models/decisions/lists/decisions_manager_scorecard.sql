{#- Minimum number of customers in each arm for the normal interval. -#}
{%- set fewest_in_an_arm = 20 -%}
{%- set z_95 = 1.959964 -%}

with run as (
    select
        as_of,
        as_of_month,
        {{ months_later('as_of_month', -11) }} as year_from,
        {{ months_later('as_of_month', -23) }} as year_before_from
    from {{ ref('base_refresh_window') }}
),

customer as (
    select
        *,
        coalesce(employee_id, 'branch ' || branch_id, 'head office') as unit,
        coalesce(accounts, 0) > 0 as is_active
    from {{ ref('base_customer') }}
),

-- The customers managed now, also for the year before: growth does not come from a transfer of
-- customers.
book as (
    select
        unit,
        max(employee_id) as employee_id,
        count(*) filter (where is_active) as customers,
        {%- for line in product_lines('is_on_scorecard') %}
        sum(coalesce(balance_{{ line }}, 0)) as balance_{{ line }},
        {%- endfor %}
        sum(coalesce(contacts_12m, 0)) as contacts_12m,
        count(*) filter (where is_active and contacts_12m > 0) as contacted
    from customer
    group by unit
),

home as (
    select
        unit,
        branch_id
    from customer
    where branch_id is not null
    group by unit, branch_id
    qualify row_number() over (partition by unit order by count(*) desc, branch_id asc) = 1
),

earned as (
    select
        coalesce(customer.unit, {{ nobody() }}) as unit,
        sum(case when profit.month >= run.year_from then profit.contribution_margin else 0 end)
            as contribution_margin_12m,
        sum(case when profit.month < run.year_from then profit.contribution_margin else 0 end)
            as contribution_margin_before
    from {{ ref('value_profit_by_customer') }} as profit
    cross join run
    left join customer on profit.customer_id = customer.customer_id
    where profit.month >= run.year_before_from and profit.month <= run.as_of
    group by coalesce(customer.unit, {{ nobody() }})
),

-- Contacts of twelve months with a final response.
answer as (
    select
        customer.unit,
        contact.arm,
        cast(contact.is_responded as integer) as responded,
        -- Drawn with the same probability, and therefore comparable across campaigns.
        round(
            case
                when contact.arm = 'treatment' then contact.assignment_probability
                else 1 - contact.assignment_probability
            end,
            6
        ) as stratum
    from {{ ref('base_campaign_contact') }} as contact
    cross join run
    inner join customer on contact.customer_id = customer.customer_id
    where
        contact.is_response_complete
        and contact.contacted_on >= run.year_from
        and contact.contacted_on <= run.as_of
),

conversion as (
    select
        unit,
        count(*) filter (where arm = 'treatment') as treated,
        coalesce(sum(responded) filter (where arm = 'treatment'), 0) as treated_responses,
        count(*) filter (where arm = 'control') as control,
        coalesce(sum(responded) filter (where arm = 'control'), 0) as control_responses
    from answer
    group by unit
),

-- The intention-to-treat effect of a blocked experiment: the mean of the differences of the strata,
-- weighted by size (Imbens and Rubin 2015, ch. 9).
stratum as (
    select
        unit,
        stratum,
        count(*) as members,
        count(*) filter (where arm = 'treatment') as treated,
        coalesce(sum(responded) filter (where arm = 'treatment'), 0) as treated_responses,
        count(*) filter (where arm = 'control') as control,
        coalesce(sum(responded) filter (where arm = 'control'), 0) as control_responses
    from answer
    where stratum is not null
    group by unit, stratum
),

-- Its variance is Neyman's, with rates after one more response of either kind in each arm (Agresti
-- and Caffo 2000), so that a rate of 0 or 1 has a positive variance.
rated as (
    select
        *,
        treated_responses / treated - control_responses / control as difference,
        (treated_responses + 1) / (treated + 2) as treated_rate,
        (control_responses + 1) / (control + 2) as control_rate,
        members / sum(members) over (partition by unit) as weight
    from stratum
    where treated > 0 and control > 0
),

compared as (
    select
        *,
        treated_rate * (1 - treated_rate) / greatest(treated - 1, 1)
        + control_rate * (1 - control_rate) / greatest(control - 1, 1) as variance
    from rated
),

effect as (
    select
        unit,
        sum(treated) as treated,
        sum(control) as control,
        {{ ordered_sum('weight * difference', 'stratum') }} as effect,
        sqrt({{ ordered_sum('weight * weight * variance', 'stratum') }}) as standard_error
    from compared
    group by unit
    having sum(treated) >= {{ fewest_in_an_arm }} and sum(control) >= {{ fewest_in_an_arm }}
),

list as (
    select
        unit,
        count(*) as worklist_open
    from {{ ref('decisions_worklist') }}
    where status = 'open'
    group by unit
),

alert as (
    select
        customer.unit,
        count(*) as credit_alerts
    from {{ ref('alerts_credit') }} as credit
    inner join customer on credit.customer_id = customer.customer_id
    group by customer.unit
),

everybody as (
    select unit from book
    union
    select unit from earned
    union
    select unit from list
)

select
    everybody.unit,
    book.employee_id,
    home.branch_id,
    cast(coalesce(book.customers, 0) as integer) as customers,
    cast(coalesce(earned.contribution_margin_12m, 0) as decimal(18, 2)) as contribution_margin_12m,
    cast(coalesce(earned.contribution_margin_before, 0) as decimal(18, 2))
        as contribution_margin_before,
    case
        when earned.contribution_margin_before > 0
            then
                cast(earned.contribution_margin_12m as double)
                / cast(earned.contribution_margin_before as double) - 1
    end as growth,
    {%- for line in product_lines('is_on_scorecard') %}
    cast(coalesce(book.balance_{{ line }}, 0) as decimal(18, 2)) as balance_{{ line }},
    {%- endfor %}
    cast(coalesce(book.contacts_12m, 0) as integer) as contacts_12m,
    {{ ratio('book.contacted', 'book.customers') }} as coverage,
    cast(coalesce(conversion.treated, 0) as integer) as treated,
    cast(coalesce(conversion.treated_responses, 0) as integer) as treated_responses,
    {{ ratio('conversion.treated_responses', 'conversion.treated') }} as conversion_treated,
    cast(coalesce(conversion.control, 0) as integer) as control,
    cast(coalesce(conversion.control_responses, 0) as integer) as control_responses,
    {{ ratio('conversion.control_responses', 'conversion.control') }} as conversion_control,
    effect.effect,
    effect.effect - {{ z_95 }} * effect.standard_error as effect_low,
    effect.effect + {{ z_95 }} * effect.standard_error as effect_high,
    case
        when effect.effect is null
            then
                'too few to compare: ' || coalesce(conversion.treated, 0) || ' contacted, '
                || coalesce(conversion.control, 0) || ' held out'
        else 'compared: ' || effect.treated || ' contacted, ' || effect.control || ' held out'
    end as effect_note,
    cast(coalesce(list.worklist_open, 0) as integer) as worklist_open,
    cast(coalesce(alert.credit_alerts, 0) as integer) as credit_alerts
from everybody
left join book on everybody.unit = book.unit
left join home on everybody.unit = home.unit
left join earned on everybody.unit = earned.unit
left join conversion on everybody.unit = conversion.unit
left join effect on everybody.unit = effect.unit
left join list on everybody.unit = list.unit
left join alert on everybody.unit = alert.unit
