"""Campaigns: their effects, and the results of earlier plans and of the uplift model.

dbt sums them by arm with the contacts layer (`dbt_project/models/campaigns`). What it reads of
earlier releases and of the uplift model is written before, the estimates after it.
"""

from collections.abc import Iterable, Iterator

import dagster as dg
import duckdb

from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import rows_and_columns, sentences, team
from orchestration.platform.progress import report_progress
from orchestration.platform.resources import WAREHOUSE_POOL, Home
from orchestration.platform.tables import declared
from sources.message import Message

# Each table and the tables that it is made of.
OF_UPLIFT = (
    *("base.campaign_contact", "features.customer_month", "value.transfer_curve"),
    "models.uplift",
)
INPUTS = {
    "decisions.earlier_plan": ("base.customer", "landing.refresh_window"),
    "campaigns.uplift_policy": OF_UPLIFT,
    "models.held_out_uplift": OF_UPLIFT,
}
ESTIMATES = {
    "campaigns.measurement": ("campaigns.campaign", "campaigns.outcome_sum"),
    "campaigns.learning": ("campaigns.campaign", "campaigns.outcome_sum"),
    "campaigns.playbook": (
        *("campaigns.campaign", "campaigns.outcome_sum", "campaigns.playbook_sum"),
    ),
    "campaigns.uplift_decile": ("campaigns.uplift_sum",),
    "campaigns.plan_outcome": ("campaigns.plan", "campaigns.plan_sum"),
}


def _key(table: str) -> dg.AssetKey:
    return dg.AssetKey(table.split("."))


CAMPAIGNS = [_key(table) for table in ESTIMATES]
# What a release carries of this stage.
PUBLISHED = [*CAMPAIGNS, _key("decisions.earlier_plan"), _key("campaigns.uplift_policy")]


def _specs(tables: dict[str, tuple[str, ...]]) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            _key(table),
            deps=[_key(one) for one in read],
            group_name="campaigns",
            kinds={"duckdb"},
            owners=team(declared(table).owner),
            description=sentences(declared(table).description),
        )
        for table, read in tables.items()
    ]


def campaign_inputs() -> dg.AssetsDefinition:
    """Further inputs of the sums, written as soon as the models are trained."""

    @dg.multi_asset(name="campaign_inputs", specs=_specs(INPUTS), pool=WAREHOUSE_POOL)
    def inputs(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        # Imported here: the code location must load without scikit-learn and MLflow.
        from orchestration.campaigns.earlier_plan import write_earlier_plan
        from orchestration.campaigns.held_out import write_held_out_uplift
        from orchestration.models.context import training_context

        with build_numbers.build(home, "campaign_inputs", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            write_earlier_plan(connection, home.settings)
            write_held_out_uplift(connection, training)
            described = _described(connection, INPUTS)
        yield from described

    return inputs


def campaigns_assets() -> dg.AssetsDefinition:
    """The estimates as one step."""

    @dg.multi_asset(name="campaigns_layer", specs=_specs(ESTIMATES), pool=WAREHOUSE_POOL)
    def campaigns(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        from orchestration.campaigns.measurement import measure_campaigns

        with build_numbers.build(home, "campaigns", context.run_id) as connection:
            report_progress(Message("the measurement of campaigns"))
            measure_campaigns(connection)
            described = _described(connection, ESTIMATES)
        yield from described

    return campaigns


def _described(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[str]
) -> list[dg.MaterializeResult]:
    keys = map(_key, tables)
    return [
        dg.MaterializeResult(asset_key=key, metadata=rows_and_columns(connection, key))
        for key in keys
    ]
