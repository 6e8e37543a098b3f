"""Scores: the champions' scores of every customer, and of every customer and offer."""

from collections.abc import Iterator

import dagster as dg

from orchestration.models.studies import OF_CUSTOMERS, OF_OFFERS
from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import declared_asset, rows_and_columns
from orchestration.platform.progress import report_progress
from orchestration.platform.resources import WAREHOUSE_POOL, Home
from sources.message import Message

# What the customers to score are read from.
CUSTOMERS = ("features.customer_month", "value.profit_by_customer", "value.customer_tier")
# Each table and what it reads, in the order in which they are written.
READ = {
    **{f"scores.{one.name}": (f"models.{one.name}", *CUSTOMERS) for one in OF_CUSTOMERS},
    "scores.reason": (*(f"models.{one.name}" for one in OF_CUSTOMERS), *CUSTOMERS),
    **{
        f"scores.{table.name}": (f"models.{one.name}", *CUSTOMERS)
        for one in OF_CUSTOMERS
        for table in one.tables
    },
    "scores.offer": (
        *(f"models.{one.name}" for one in OF_OFFERS),
        *CUSTOMERS,
        *("features.offer", "base.customer", "scores.default", "value.offer"),
    ),
    "scores.account_default": ("alerts.loan", "scores.default"),
}
# What the customers of now are compared with is read with the rate at which margin is discounted.
READ["scores.reason"] += ("value.product_parameter",)
READ["scores.segment"] += ("value.product_parameter",)
# The profile is the model's own.
READ["scores.segment_profile"] = ("models.segment",)
READ["scores.segment_migration"] += ("scores.segment", "outcomes.customer_sample")
SCORES = [dg.AssetKey(table.split(".")) for table in READ]
# The join of the models' tables, which a release carries in their place.
CUSTOMER = dg.AssetKey(["scores", "customer"])
OF_MODELS = [dg.AssetKey(["scores", one.name]) for one in OF_CUSTOMERS]
PUBLISHED = [CUSTOMER, *(key for key in SCORES if key not in OF_MODELS)]


def scores_assets() -> dg.AssetsDefinition:
    """The score tables as one step; from models:/…@champion only."""

    @dg.multi_asset(
        name="scores_layer",
        specs=[declared_asset(table, read) for table, read in READ.items()],
        pool=WAREHOUSE_POOL,
    )
    def scores(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        from orchestration.models.context import training_context
        from orchestration.models.offer_scoring import score_offers
        from orchestration.models.scoring import score_customers
        from orchestration.scores.account_default import keep_default_probabilities

        with build_numbers.build(home, "scores", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            customers = score_customers(connection, training)
            report_progress(Message("{0} customers scored", f"{customers:,}"))
            offers = score_offers(connection, training)
            report_progress(Message("{0} offers to customers scored", f"{offers:,}"))
            loans = keep_default_probabilities(connection, training)
            count = f"{loans:,}"
            report_progress(Message("{0} loans' probabilities of default kept", count))
            described = {key: rows_and_columns(connection, key) for key in SCORES}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return scores
