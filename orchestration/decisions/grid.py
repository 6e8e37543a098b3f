"""The bank's field, district by district: who answers for it, and what is in it."""

from __future__ import annotations

from datetime import date

import duckdb

from orchestration.decisions.worklist import CONTACTABLE
from orchestration.platform.optional_tables import latest_extract, or_empty

NOWHERE = "(none)"

CREATE = """
create schema if not exists decisions;
create or replace table decisions.grid (
    district_id varchar primary key,
    district_name varchar,
    region varchar,
    employee_id varchar,
    branch_id varchar,
    customers integer not null,
    customers_with_manager integer not null,
    manager_share double,
    contribution_margin_12m decimal(18, 2) not null,
    clv_12m decimal(18, 2) not null,
    potential decimal(18, 2) not null,
    planned_contacts integer not null,
    contacts_12m integer not null,
    coverage double,
    latitude double,
    longitude double
)
"""

# Value goes to where the customer lives now; what belongs to no customer, or to one of no known
# district, is a row of its own, so that the rows add up to the bank.
FILL = f"""
    insert into decisions.grid by name
    with
    customer as (
        select
            customer_id,
            coalesce(district_id, '{NOWHERE}') as district_id,
            employee_id,
            branch_id,
            coalesce(accounts, 0) > 0 as is_active,
            coalesce(contacts_12m, 0) as contacts_12m
        from base.customer
    ),
    place as (
        select
            district_id,
            count(*) filter (is_active) as customers,
            count(employee_id) filter (is_active) as customers_with_manager,
            sum(contacts_12m) as contacts_12m,
            count(*) filter (is_active and contacts_12m > 0) as contacted
        from customer
        group by district_id
    ),
    responsible as (
        select district_id, employee_id
        from customer
        where is_active and employee_id is not null
        group by district_id, employee_id
        qualify
            row_number() over (
                partition by district_id order by count(*) desc, employee_id asc
            ) = 1
    ),
    home as (
        select district_id, branch_id
        from customer
        where is_active and branch_id is not null
        group by district_id, branch_id
        qualify
            row_number() over (partition by district_id order by count(*) desc, branch_id asc) = 1
    ),
    earned as (
        select
            coalesce(customer.district_id, '{NOWHERE}') as district_id,
            sum(profit.contribution_margin) as contribution_margin_12m
        from value.profit_by_customer as profit
        left join customer on customer.customer_id = profit.customer_id
        where
            profit.month > date_trunc('month', $as_of::date) - interval 12 month
            and profit.month <= $as_of
        group by all
    ),
    promised as (
        select customer.district_id, sum(score.clv_12m) as clv_12m
        from {{score}} as score
        inner join customer on customer.customer_id = score.customer_id
        group by customer.district_id
    ),
    best as (
        select customer_id, max(expected_incremental_profit) as best_offer
        from contacts.candidate
        group by customer_id
    ),
    possible as (
        -- Nobody has to be made an offer that costs more than it brings.
        select customer.district_id, sum(greatest(best.best_offer, 0)) as potential
        from best
        inner join customer on customer.customer_id = best.customer_id
        group by customer.district_id
    ),
    planned as (
        select customer.district_id, count(*) as planned_contacts
        from decisions.contact_plan as plan
        inner join ({CONTACTABLE}) as contactable on contactable.customer_id = plan.customer_id
        inner join customer on customer.customer_id = plan.customer_id
        where plan.arm = 'treatment'
        group by customer.district_id
    ),
    everywhere as (
        select district_id from place
        union
        select district_id from earned
        union
        select district_id from {{district}} as district
    )
    select
        everywhere.district_id,
        district.district_name,
        district.region,
        responsible.employee_id,
        home.branch_id,
        coalesce(place.customers, 0) as customers,
        coalesce(place.customers_with_manager, 0) as customers_with_manager,
        place.customers_with_manager / nullif(place.customers, 0) as manager_share,
        coalesce(earned.contribution_margin_12m, 0) as contribution_margin_12m,
        coalesce(promised.clv_12m, 0) as clv_12m,
        coalesce(possible.potential, 0) as potential,
        coalesce(planned.planned_contacts, 0) as planned_contacts,
        coalesce(place.contacts_12m, 0) as contacts_12m,
        place.contacted / nullif(place.customers, 0) as coverage,
        district.latitude,
        district.longitude
    from everywhere
    left join {{district}} as district on district.district_id = everywhere.district_id
    left join place on place.district_id = everywhere.district_id
    left join responsible on responsible.district_id = everywhere.district_id
    left join home on home.district_id = everywhere.district_id
    left join earned on earned.district_id = everywhere.district_id
    left join promised on promised.district_id = everywhere.district_id
    left join possible on possible.district_id = everywhere.district_id
    left join planned on planned.district_id = everywhere.district_id
    order by everywhere.district_id
"""


def write_grid(connection: duckdb.DuckDBPyConnection, as_of: date) -> int:
    """Write `decisions.grid`, one row a district and one for no district; returns the rows.

    The responsible manager is the one with most customers in the district, the branch the home of
    most of them. Customers are those with an open account of their own; coverage and manager share
    are shares of them. `contribution_margin_12m` (twelve months up to as_of) adds up to the bank's
    to the cent. `potential` is the expected incremental profit of each customer's best suitable
    offer, were there no limits of capacity and budget; planned contacts are on any channel.
    """
    for statement in CREATE.split(";"):
        connection.execute(statement)
    district = latest_extract(
        connection,
        "landing.district",
        district_id="varchar",
        district_name="varchar",
        region="varchar",
        latitude="double",
        longitude="double",
    )
    score = or_empty(connection, "scores.customer", customer_id="varchar", clv_12m="decimal(18, 2)")
    connection.execute(FILL.format(score=score, district=district), {"as_of": as_of})
    return int(connection.execute("select count(*) from decisions.grid").fetchall()[0][0])
