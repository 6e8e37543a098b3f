"""Decisions: the contact plan, the lists for those who carry it out, and their outcome."""

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
    "contact_plan": ("contacts.option", "contacts.channel", "contacts.policy"),
    "contact_reason": ("decisions.contact_plan",),
    "constraint_price": ("contacts.option", "contacts.channel", "contacts.policy"),
    "plan_comparison": ("contacts.option", "contacts.channel", "contacts.policy"),
    "control_power": ("decisions.contact_plan",),
}
PLAN = [dg.AssetKey(["decisions", name]) for name in READ]
LISTS = [
    dg.AssetKey(["decisions", name])
    for name in ("worklist", "guide", "grid", "manager_scorecard", "manager_kpi")
]


def plan_assets() -> dg.AssetsDefinition:
    """The contact plan and what explains it, as one step: one solution of one program."""

    @dg.multi_asset(
        name="plan_layer",
        specs=[declared_asset(f"decisions.{name}", read) for name, read in READ.items()],
        pool=WAREHOUSE_POOL,
    )
    def plan(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scipy.
        from orchestration.decisions.plan import write_plan

        with build_numbers.build(home, "plan", context.run_id) as connection:
            contacts = write_plan(connection, home.settings.seed)
            report_progress(Message("{0} contacts planned", f"{contacts:,}"))
            described = {key: rows_and_columns(connection, key) for key in PLAN}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return plan


def lists_assets(manifest: Path, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Worklist, guide, grid, scorecard and targets, built by dbt from the plan."""
    return dbt_layer("decisions", "tag:decisions", manifest, months)
