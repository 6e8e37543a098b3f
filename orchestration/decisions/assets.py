"""Decisions: whom to contact with what, the lists for those who do it, and what came of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import declared_asset, rows_and_columns, team
from orchestration.platform.dbt import dbt_layer
from orchestration.platform.progress import tell
from orchestration.platform.resources import Home

# Each table that Python writes and what it reads.
READ = {
    "contact_plan": ("contacts.option", "contacts.channel", "contacts.policy"),
    "contact_reason": ("decisions.contact_plan",),
    "constraint_price": ("contacts.option", "contacts.channel", "contacts.policy"),
    "plan_comparison": ("contacts.option", "contacts.channel", "contacts.policy"),
    "control_power": ("decisions.contact_plan",),
    "earlier_plan": ("base.customer", "landing.refresh_window"),
}
PLAN = [dg.AssetKey(["decisions", name]) for name in READ]
# Each table of the measurement and what it holds.
MEASURED = {
    ("campaigns", "measurement"): "effect of each campaign by randomised arm, cost and return",
    ("campaigns", "uplift_decile"): "whether the uplift model ranked truly",
    ("campaigns", "uplift_policy"): "the uplift model on later campaigns beside simple rules",
    ("campaigns", "learning"): "what all campaigns of an offer together have shown",
    ("campaigns", "plan_outcome"): "the plans of earlier refreshes against what happened",
}
LISTS = [
    dg.AssetKey(["decisions", name]) for name in ("worklist", "guide", "grid", "manager_scorecard")
]
CAMPAIGNS = [dg.AssetKey(list(key)) for key in MEASURED]


def plan_assets() -> dg.AssetsDefinition:
    """The contact plan and what explains it, as one step: one solution of one program."""

    @dg.multi_asset(
        name="plan_layer",
        specs=[declared_asset(f"decisions.{name}", read) for name, read in READ.items()],
    )
    def plan(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scipy.
        from orchestration.decisions.earlier import bring_earlier_plans
        from orchestration.decisions.plan import write_plan

        with build_numbers.build(home, "plan", context.run_id) as connection:
            bring_earlier_plans(connection, home.settings)
            contacts = write_plan(connection, home.settings.seed)
            tell(f"{contacts:,} contacts planned")
            described = {key: rows_and_columns(connection, key) for key in PLAN}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return plan


def campaigns_assets(upstream: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The measurement of campaigns as one step."""

    @dg.multi_asset(
        name="campaigns_layer",
        specs=[
            dg.AssetSpec(
                key,
                deps=[*upstream, dg.AssetKey(["decisions", "earlier_plan"])],
                group_name="decisions",
                kinds={"duckdb"},
                owners=team("marketing"),
                description=description,
            )
            for key, description in zip(CAMPAIGNS, MEASURED.values(), strict=True)
        ],
    )
    def campaigns(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        from orchestration.campaigns.held_out import held_out_uplift
        from orchestration.campaigns.measurement import measure_campaigns
        from orchestration.models.context import training_context

        with build_numbers.build(home, "campaigns", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            tell("the measurement of campaigns")
            measure_campaigns(
                connection, training.as_of_month, held_out_uplift(connection, training)
            )
            described = {key: rows_and_columns(connection, key) for key in CAMPAIGNS}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return campaigns


def lists_assets(manifest: Path, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Worklist, guide, grid and scorecard, built by dbt from the plan."""
    return dbt_layer("decisions", "tag:decisions", manifest, months)
