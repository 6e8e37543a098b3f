"""Alerts: cases for review, from the day tables and loans that dbt built before."""

from collections.abc import Iterator

import dagster as dg

from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import rows_and_columns, team
from orchestration.platform.progress import tell
from orchestration.platform.resources import Home
from orchestration.platform.tables import declared

# Each table that Python writes and what it reads.
READ = {
    "alerts.credit": (
        *("alerts.loan", "scores.customer", "features.customer_month", "models.default"),
        *("value.profit_by_customer", "value.customer_tier"),
    ),
    "alerts.transaction": (
        *("alerts.sample", "alerts.kind_day", "alerts.account_day", "alerts.customer_day"),
        *("staging.stg_transaction", "base.customer"),
    ),
}
ALERTS = [dg.AssetKey(table.split(".")) for table in READ]


def alerts_assets() -> dg.AssetsDefinition:
    """The alerts as one step."""

    @dg.multi_asset(
        name="alerts_layer",
        specs=[
            dg.AssetSpec(
                key,
                deps=[dg.AssetKey(read.split(".")) for read in READ[table]],
                group_name="alerts",
                kinds={"duckdb"},
                owners=team(declared(table).owner),
                description=declared(table).description,
            )
            for key, table in zip(ALERTS, READ, strict=True)
        ],
    )
    def alerts(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scikit-learn.
        from orchestration.alerts.credit import write_credit_alerts
        from orchestration.alerts.transaction import write_transaction_alerts
        from orchestration.models.context import training_context

        with build_numbers.build(home, "alerts", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            loans = write_credit_alerts(connection, training)
            tell(f"{loans:,} loans to look at")
            abnormal = write_transaction_alerts(connection, seed=training.seed)
            tell(f"{abnormal:,} abnormal transactions")
            described = {key: rows_and_columns(connection, key) for key in ALERTS}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return alerts
