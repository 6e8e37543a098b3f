"""The plans of earlier releases, kept so that they can be compared with what happened."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import RELEASE, attached_release
from orchestration.platform.settings import Settings
from orchestration.platform.tables import declared, write_table

TABLE = "decisions.earlier_plan"
KEPT_MONTHS = 12


def write_earlier_plan(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Write `decisions.earlier_plan` from the served release; returns the rows.

    It holds that release's own plan and its earlier plans, of the twelve months up to the as-of
    date; where both have a month, the release's own. Customers who are gone from the base are left
    out. The table is empty where the release is another bank's.
    """
    with attached_release(connection, settings) as is_of_this_bank:
        plans = _released(connection) if is_of_this_bank else None
    return write_table(connection, TABLE, plans)


def _released(connection: duckdb.DuckDBPyConnection) -> pa.Table | None:
    columns = ", ".join(column.name for column in declared(TABLE).columns)
    plans = [
        f"select {columns}, {age} as age from {RELEASE}.decisions.{table} "
        # The universal control is of all marketing together, not of one campaign.
        "where control_kind is distinct from 'universal'"
        for age, table in enumerate(("contact_plan", "earlier_plan"))
        if has_table(connection, f"decisions.{table}", RELEASE)
    ]
    if not plans:
        return None
    return connection.sql(
        f"""
        select {columns}
        from ({" union all ".join(plans)}) as plan
        cross join landing.refresh_window as run
        semi join base.customer on customer.customer_id = plan.customer_id
        where plan_month <= run.as_of and plan_month > run.as_of - to_months({KEPT_MONTHS})
        qualify age = min(age) over (partition by plan_month)
        """
    ).to_arrow_table()
