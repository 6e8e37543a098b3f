"""What each relationship manager's book brings, and what his contacts do: the scorecard.

A manager is judged by the difference that contacting makes, not by how many customers of the book
say yes: those who would have come anyway are in the control arm as well.
"""

from __future__ import annotations

from datetime import date

import duckdb

from orchestration.platform.optional_tables import or_empty

NOBODY, HEAD_OFFICE = "(none)", "head office"
# The normal interval needs some customers in each arm, whatever its variance.
FEWEST_IN_AN_ARM = 20
Z_95 = 1.959964

CREATE = """
create schema if not exists decisions;
create or replace table decisions.manager_scorecard (
    unit varchar primary key,
    employee_id varchar,
    branch_id varchar,
    customers integer not null,
    contribution_margin_12m decimal(18, 2) not null,
    contribution_margin_before decimal(18, 2) not null,
    growth double,
    balance_deposits decimal(18, 2) not null,
    balance_lending decimal(18, 2) not null,
    balance_wealth decimal(18, 2) not null,
    contacts_12m integer not null,
    coverage double,
    treated integer not null,
    treated_responses integer not null,
    conversion_treated double,
    control integer not null,
    control_responses integer not null,
    conversion_control double,
    effect double,
    effect_low double,
    effect_high double,
    effect_note varchar not null,
    worklist_open integer not null,
    credit_alerts integer not null
)
"""

FILL = f"""
    insert into decisions.manager_scorecard by name
    with
    customer as (
        select
            *,
            coalesce(employee_id, 'branch ' || branch_id, '{HEAD_OFFICE}') as unit,
            coalesce(accounts, 0) > 0 as is_active
        from base.customer
    ),
    book as (
        select
            unit,
            any_value(employee_id) as employee_id,
            count(*) filter (is_active) as customers,
            sum(coalesce(balance_deposits, 0)) as balance_deposits,
            sum(coalesce(balance_lending, 0)) as balance_lending,
            sum(coalesce(balance_wealth, 0)) as balance_wealth,
            sum(coalesce(contacts_12m, 0)) as contacts_12m,
            count(*) filter (is_active and contacts_12m > 0) as contacted
        from customer
        group by unit
    ),
    home as (
        select unit, branch_id
        from customer
        where branch_id is not null
        group by unit, branch_id
        qualify
            row_number() over (partition by unit order by count(*) desc, branch_id asc) = 1
    ),
    earned as (
        select
            coalesce(customer.unit, '{NOBODY}') as unit,
            coalesce(sum(profit.contribution_margin) filter (profit.month >= $year), 0)
                as contribution_margin_12m,
            coalesce(sum(profit.contribution_margin) filter (profit.month < $year), 0)
                as contribution_margin_before
        from value.profit_by_customer as profit
        left join customer on customer.customer_id = profit.customer_id
        where profit.month >= $year - interval 12 month and profit.month <= $as_of
        group by all
    ),
    answer as (
        select
            customer.unit,
            contact.arm,
            contact.is_responded::integer as responded,
            -- Drawn with the same odds, so comparable whatever the campaign.
            round(
                case
                    when contact.arm = 'treatment' then contact.assignment_probability
                    else 1 - contact.assignment_probability
                end, 6
            ) as stratum
        from base.campaign_contact as contact
        inner join customer on customer.customer_id = contact.customer_id
        where
            contact.is_response_complete
            and contact.contacted_on >= $year and contact.contacted_on <= $as_of
    ),
    conversion as (
        select
            unit,
            count(*) filter (arm = 'treatment') as treated,
            coalesce(sum(responded) filter (arm = 'treatment'), 0) as treated_responses,
            count(*) filter (arm = 'control') as control,
            coalesce(sum(responded) filter (arm = 'control'), 0) as control_responses
        from answer
        group by unit
    ),
    stratum as (
        select
            unit,
            stratum,
            count(*) as members,
            count(*) filter (arm = 'treatment') as treated,
            coalesce(sum(responded) filter (arm = 'treatment'), 0) as treated_responses,
            count(*) filter (arm = 'control') as control,
            coalesce(sum(responded) filter (arm = 'control'), 0) as control_responses
        from answer
        where stratum is not null
        group by unit, stratum
        having treated > 0 and control > 0
    ),
    compared as (
        select
            *,
            treated_responses / treated - control_responses / control as difference,
            (treated_responses + 1) / (treated + 2) as treated_rate,
            (control_responses + 1) / (control + 2) as control_rate,
            members / sum(members) over (partition by unit) as weight
        from stratum
    ),
    effect as (
        select
            unit,
            sum(treated) as treated,
            sum(control) as control,
            -- In order, so that the sum of rounded terms is the same however many threads add.
            sum(weight * difference order by stratum) as effect,
            sqrt(sum(
                weight * weight * (
                    treated_rate * (1 - treated_rate) / greatest(treated - 1, 1)
                    + control_rate * (1 - control_rate) / greatest(control - 1, 1)
                ) order by stratum
            )) as standard_error
        from compared
        group by unit
        having sum(treated) >= {FEWEST_IN_AN_ARM} and sum(control) >= {FEWEST_IN_AN_ARM}
    ),
    list as (
        select unit, count(*) as worklist_open
        from decisions.worklist where status = 'open' group by unit
    ),
    alert as (
        select customer.unit, count(*) as credit_alerts
        from {{alert}} as credit
        inner join customer on customer.customer_id = credit.customer_id
        group by customer.unit
    ),
    everybody as (
        select unit from book union select unit from earned union select unit from list
    )
    select
        everybody.unit,
        book.employee_id,
        home.branch_id,
        coalesce(book.customers, 0) as customers,
        coalesce(earned.contribution_margin_12m, 0) as contribution_margin_12m,
        coalesce(earned.contribution_margin_before, 0) as contribution_margin_before,
        case
            when earned.contribution_margin_before > 0
                then
                    earned.contribution_margin_12m::double
                    / earned.contribution_margin_before::double - 1
        end as growth,
        coalesce(book.balance_deposits, 0) as balance_deposits,
        coalesce(book.balance_lending, 0) as balance_lending,
        coalesce(book.balance_wealth, 0) as balance_wealth,
        coalesce(book.contacts_12m, 0) as contacts_12m,
        book.contacted / nullif(book.customers, 0) as coverage,
        coalesce(conversion.treated, 0) as treated,
        coalesce(conversion.treated_responses, 0) as treated_responses,
        conversion.treated_responses / nullif(conversion.treated, 0) as conversion_treated,
        coalesce(conversion.control, 0) as control,
        coalesce(conversion.control_responses, 0) as control_responses,
        conversion.control_responses / nullif(conversion.control, 0) as conversion_control,
        effect.effect,
        effect.effect - {Z_95} * effect.standard_error as effect_low,
        effect.effect + {Z_95} * effect.standard_error as effect_high,
        case
            when effect.effect is null
                then
                    'too few to compare: ' || coalesce(conversion.treated, 0) || ' contacted, '
                    || coalesce(conversion.control, 0) || ' held out'
            else
                'compared: ' || effect.treated || ' contacted, ' || effect.control || ' held out'
        end as effect_note,
        coalesce(list.worklist_open, 0) as worklist_open,
        coalesce(alert.credit_alerts, 0) as credit_alerts
    from everybody
    left join book on book.unit = everybody.unit
    left join home on home.unit = everybody.unit
    left join earned on earned.unit = everybody.unit
    left join conversion on conversion.unit = everybody.unit
    left join effect on effect.unit = everybody.unit
    left join list on list.unit = everybody.unit
    left join alert on alert.unit = everybody.unit
    order by everybody.unit
"""


def write_scorecard(connection: duckdb.DuckDBPyConnection, as_of: date) -> int:
    """Write `decisions.manager_scorecard`; returns the rows.

    One row a unit: a relationship manager, the branch of those who have none, head office, or
    nobody for accounts without an owner. The book is the customers looked after at the as-of date,
    for the twelve months before as well, so that growth is that of the customers and not of their
    hand-over. `contribution_margin_12m` adds up to the bank's.

    The effect is by intention to treat: response of those assigned to contact less that of those
    held out, over contacts of twelve months whose answer is final. Contacts drawn with the same
    probability are a stratum; the effect is the mean of the strata's differences by their size, as
    of a blocked experiment (Imbens and Rubin 2015, ch. 9). Its variance is Neyman's, with the rates
    of one answer more of either kind in each arm (Agresti and Caffo 2000): nobody's answer is
    certain because none was seen. Where answers are rare the interval is therefore wide rather than
    empty; a customer met in several campaigns counts as several, which makes it a little narrow.
    Without 20 contacts in either arm there is no effect, and the note says so. Needs
    `decisions.worklist`.
    """
    for statement in CREATE.split(";"):
        connection.execute(statement)
    alert = or_empty(connection, "alerts.credit", customer_id="varchar")
    # The first day of the twelve months that end with the as-of date.
    year = (
        as_of.replace(year=as_of.year - 1, month=as_of.month + 1, day=1)
        if as_of.month < 12
        else as_of.replace(month=1, day=1)
    )
    connection.execute(FILL.format(alert=alert), {"as_of": as_of, "year": year})
    return int(
        connection.execute("select count(*) from decisions.manager_scorecard").fetchall()[0][0]
    )
