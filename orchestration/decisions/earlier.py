"""The plans of earlier releases, brought along so that they can be held against what happened."""

from __future__ import annotations

import duckdb

from orchestration.decisions.plan import CREATE
from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import RELEASE, attached_release
from orchestration.platform.settings import Settings

KEPT_MONTHS = 12
COLUMNS = (
    "plan_month, campaign_id, customer_id, product_id, channel, unit, arm, control_kind, "
    "assignment_probability, p_response, uplift, contact_cost, incentive_cost, "
    "expected_incremental_profit"
)


def bring_earlier_plans(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Write `decisions.earlier_plan` from the served release; returns the rows.

    It holds that release's own plan and the plans it had brought along, of the twelve months up to
    the as-of date; of a plan's month refreshed again, the plan of the release that is served.
    Customers who are gone from the base are gone here, too. A release of another bank says nothing.
    """
    for statement in filter(str.strip, CREATE.split(";")):
        connection.execute(statement)
    connection.execute(
        f"create or replace table decisions.earlier_plan as "
        f"select {COLUMNS} from decisions.contact_plan limit 0"
    )
    with attached_release(connection, settings) as is_of_this_bank:
        if is_of_this_bank:
            for table in ("contact_plan", "earlier_plan"):
                if has_table(connection, f"decisions.{table}", RELEASE):
                    _take(connection, table)
    return int(connection.execute("select count(*) from decisions.earlier_plan").fetchall()[0][0])


def _take(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """A plan is a month's: what is there already of a month comes from a newer release."""
    connection.execute(
        f"""
        insert into decisions.earlier_plan by name
        select {COLUMNS} from {RELEASE}.decisions.{table} as plan
        semi join base.customer on customer.customer_id = plan.customer_id
        where plan_month <= (select as_of from landing.refresh_window)
            and plan_month > (select as_of from landing.refresh_window)
                - to_months({KEPT_MONTHS})
            and plan_month not in (select plan_month from decisions.earlier_plan)
            -- Who is never contacted tells of all marketing together, not of one campaign.
            and control_kind is distinct from 'universal'
        """
    )
