"""What a refresh changed in months that were published before: `meta.restatement`.

The served release is compared with the build that takes its place, month by month, in the tables
below. A month is closed once a release holds it: of two releases as of one month, that month too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from orchestration.platform.optional_tables import has_table
from orchestration.platform.releases import RELEASE, attached_release
from orchestration.platform.settings import Settings
from orchestration.platform.tables import write_table

CHANGED = Path(__file__).parent / "changed_shares.sql"
PROFIT = ("contribution_margin", "economic_profit", "closing_balance")

# Table → its key besides the month, and the money that is summed.
COMPARED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "base.account_activity": (("account_id", "channel", "kind"), ("amount",)),
    "base.account_month": (("account_id",), ("closing_balance",)),
    "base.customer_month": (("customer_id",), ("inflow", "outflow")),
    "value.account_month": (("account_id",), PROFIT),
    "value.profit_by_branch": (("branch_id",), PROFIT),
    "value.profit_by_channel": (("channel",), PROFIT),
    "value.profit_by_customer": (("customer_id",), PROFIT),
    "value.profit_by_decile": (("decile",), PROFIT),
    "value.profit_by_district": (("district_id",), PROFIT),
    "value.profit_by_employee": (("role", "employee_id"), PROFIT),
    "value.profit_by_group": (("group_id",), PROFIT),
    "value.profit_by_household": (("household_id",), PROFIT),
    "value.profit_by_kind": (("customer_kind",), PROFIT),
    "value.profit_by_line": (("product_line",), PROFIT),
    "value.profit_by_product": (("product_id",), PROFIT),
    "value.profit_by_tier": (("tier",), PROFIT),
    "value.profit_by_vintage": (("business", "opened_year"), PROFIT),
}


@dataclass(frozen=True)
class Restated:
    """The closed months that a release changed, as `YYYY-MM`, and the contribution margin of all
    accounts in them before and after."""

    months: tuple[str, ...]
    before: Decimal | None
    after: Decimal | None


def record_restatement(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Write `meta.restatement` from the served release and the build; returns its rows.

    It is empty before the first release, and where a release of another bank is served.
    """
    write_table(connection, "meta.restatement", None)
    with attached_release(connection, settings) as is_of_this_bank:
        if is_of_this_bank:
            for name in COMPARED:
                if has_table(connection, name, RELEASE) and has_table(connection, name):
                    _compare(connection, name)
    return int(connection.execute("select count(*) from meta.restatement").fetchall()[0][0])


def restated(connection: duckdb.DuckDBPyConnection) -> Restated | None:
    """The restated months in `meta.restatement` and the total contribution margin; None where
    nothing was restated or the database has no such table yet."""
    if not has_table(connection, "meta.restatement"):
        return None
    months, before, after = connection.execute(
        """select list(distinct strftime(month, '%Y-%m') order by strftime(month, '%Y-%m')),
            sum(money_before) filter (counts), sum(money_after) filter (counts)
        from (
            select *, table_name = 'value.account_month' and measure = 'contribution_margin'
                as counts
            from meta.restatement
        )"""
    ).fetchall()[0]
    return Restated(tuple(months), before, after) if months else None


def changed_shares(
    connection: duckdb.DuckDBPyConnection, settings: Settings
) -> tuple[float, float]:
    """What a build changes of the served release, after `record_restatement`: the share of the
    contribution of its months, months added up without sign, and that of its customers.

    Both are 0 before the first release, and where a release of another bank is served.
    """
    with attached_release(connection, settings) as is_of_this_bank:
        if not is_of_this_bank:
            return 0.0, 0.0
        ((contribution, customers),) = connection.execute(CHANGED.read_text()).fetchall()
    return float(contribution or 0), float(customers or 0)


def _compare(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Months whose rows differ first, by one scan of both sides; then the rows of those."""
    keys, measures = COMPARED[name]
    ((own,),) = connection.execute("select current_database()").fetchall()
    columns = [one for one in common_columns(connection, name, own, RELEASE) if one != "month"]
    closed = (
        f"month <= (select max(month) from {RELEASE}.{name}) "
        "and month <= (select as_of from landing.refresh_window)"
    )
    digest = (
        f"select month, count(*) as rows, sum(hash({', '.join(columns)})::hugeint) as digest "
        f"from {{database}}{name} where {closed} group by month"
    )
    rows = (
        f"select month, {', '.join(columns)} from {{database}}{name} "
        "semi join differing using (month)"
    )
    same_key = " and ".join(
        f"before.{key} is not distinct from after.{key}" for key in ("month", *keys)
    )
    same_row = " and ".join(
        f"before.{column} is not distinct from after.{column}" for column in columns
    )
    listed = ", ".join(
        f"""{{
            'measure': '{measure}',
            'money_before': coalesce(sum(before.{measure}), 0)::decimal(18, 2),
            'money_after': coalesce(sum(after.{measure}), 0)::decimal(18, 2)
        }}"""
        for measure in measures
    )
    connection.execute(f"""
        insert into meta.restatement
        with differing as (
            select month
            from ({digest.format(database=f"{RELEASE}.")}) as before
            full join ({digest.format(database="")}) as after using (month)
            where before.digest is distinct from after.digest
        ),
        summed as (
            select
                coalesce(before.month, after.month) as month,
                count(before.month) as rows_before,
                count(after.month) as rows_after,
                count(*) filter (not ({same_row})) as rows_changed,
                [{listed}] as measures
            from ({rows.format(database=f"{RELEASE}.")}) as before
            full join ({rows.format(database="")}) as after on {same_key}
            group by 1
        )
        select
            month, '{name}', measure.measure, rows_before, rows_after, rows_changed,
            measure.money_before, measure.money_after
        from (select * exclude (measures), unnest(measures) as measure from summed)
        order by all""")


def common_columns(
    connection: duckdb.DuckDBPyConnection, table: str, first: str, second: str
) -> list[str]:
    """The columns that two attached databases have in one type, in the order of the first."""
    schema, name = table.split(".")
    return [
        column
        for (column,) in connection.execute(
            "select column_name from duckdb_columns() as one inner join duckdb_columns() as other "
            "using (schema_name, table_name, column_name, data_type) where schema_name = ? "
            "and table_name = ? and one.database_name = ? and other.database_name = ? "
            "order by one.column_index",
            [schema, name, first, second],
        ).fetchall()
    ]
