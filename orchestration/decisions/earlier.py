"""The plans of earlier releases, brought along so that they can be held against what happened."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import RELEASE, attached_release
from orchestration.platform.settings import Settings
from orchestration.platform.tables import declared, write_table

EARLIER = "decisions.earlier_plan"
KEPT_MONTHS = 12
# dbt does not see the release's file. Members of the universal control group are never contacted:
# they measure all marketing together and no campaign.
KEPT = """
    select {columns} from {release}.decisions.{table} as plan
    semi join base.customer on customer.customer_id = plan.customer_id
    where plan_month <= (select as_of from landing.refresh_window)
        and plan_month > (select as_of from landing.refresh_window) - to_months({months})
        and plan_month not in (select unnest($taken::date[]))
        and control_kind is distinct from 'universal'
"""


def bring_earlier_plans(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Write `decisions.earlier_plan` from the served release; returns the rows.

    It holds that release's own plan and the plans it had brought along, of the twelve months up to
    the as-of date; of a plan's month refreshed again, the plan of the release that is served.
    Customers who are gone from the base are gone here, too. A release of another bank is not read.
    """
    columns = ", ".join(column.name for column in declared(EARLIER).columns)
    kept: list[pa.Table] = []
    with attached_release(connection, settings) as is_of_this_bank:
        for table in ("contact_plan", "earlier_plan"):
            if is_of_this_bank and has_table(connection, f"decisions.{table}", RELEASE):
                query = KEPT.format(
                    columns=columns, release=RELEASE, table=table, months=KEPT_MONTHS
                )
                # A plan is a month's: what is there already of a month is of a newer release.
                taken = {month for plan in kept for month in plan["plan_month"].to_pylist()}
                found = connection.sql(query, params={"taken": sorted(taken)})
                kept.append(found.to_arrow_table())
    return write_table(connection, EARLIER, pa.concat_tables(kept) if kept else None)
