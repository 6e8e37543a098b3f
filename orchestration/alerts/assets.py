"""Alerts: cases for review, from the day tables and loans that dbt built before."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import declared_asset, rows_and_columns
from orchestration.platform.dbt import dbt_layer
from orchestration.platform.progress import report_progress
from orchestration.platform.resources import WAREHOUSE_POOL, Home
from sources.message import Message

# Each table that Python writes and what it reads.
READ = {
    "alerts.default_course": (
        *("scores.default", "features.customer_month", "models.default"),
        *("value.profit_by_customer", "value.customer_tier"),
    ),
    "alerts.transaction": (
        *("alerts.sample", "alerts.kind_day", "alerts.account_day", "alerts.customer_day"),
        *("staging.stg_transaction", "base.customer"),
    ),
}
WRITTEN = [dg.AssetKey(table.split(".")) for table in READ]
# What a release carries.
ALERTS = [dg.AssetKey(["alerts", name]) for name in ("credit", "transaction")]


def alerts_assets() -> dg.AssetsDefinition:
    """What needs a detector or the model of default, as one step."""

    @dg.multi_asset(
        name="alerts_layer",
        specs=[declared_asset(table, read) for table, read in READ.items()],
        pool=WAREHOUSE_POOL,
    )
    def alerts(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scikit-learn.
        from orchestration.alerts.default_course import write_default_course
        from orchestration.alerts.transaction import write_transaction_alerts
        from orchestration.models.context import training_context

        with build_numbers.build(home, "alerts", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            write_default_course(connection, training)
            abnormal = write_transaction_alerts(connection, seed=training.seed)
            report_progress(Message("{0} abnormal transactions", f"{abnormal:,}"))
            described = {key: rows_and_columns(connection, key) for key in WRITTEN}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return alerts


def customer_scores_assets(manifest: Path, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The scores of each customer, joined by dbt, and the loans to review that follow from them."""
    return dbt_layer("customer_scores", "tag:customer_scores", manifest, months)
