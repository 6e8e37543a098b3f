"""Scores: the champions' scores of every customer, and of every customer and offer."""

from collections.abc import Iterator, Sequence

import dagster as dg

from orchestration.models.assets import MODELS
from orchestration.platform import build_numbers
from orchestration.platform.asset_metadata import rows_and_columns, team
from orchestration.platform.progress import tell
from orchestration.platform.resources import Home

# Each table, in the order in which they are written, and what it holds.
HOLDS = {
    ("scores", "customer"): "value to come, attrition, default, high value, segment of customers",
    ("scores", "offer"): "response, uplift, value and expected profit by customer and offer",
    ("scores", "account_default"): "probabilities of default that expected loss is taken from",
}
SCORES = [dg.AssetKey(list(key)) for key in HOLDS]
# What scoring reads besides the features.
READ = [
    dg.AssetKey([*table.split(".")])
    for table in ("base.product", "value.offer", "value.transfer_curve", "alerts.loan")
]


def scores_assets(features: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The score tables as one step; from models:/…@champion only."""

    @dg.multi_asset(
        name="scores_layer",
        specs=[
            dg.AssetSpec(
                key,
                deps=[*features, *READ, *MODELS],
                group_name="scores",
                kinds={"duckdb"},
                owners=team("modelling"),
                description=description,
            )
            for key, description in zip(SCORES, HOLDS.values(), strict=True)
        ],
    )
    def scores(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        from orchestration.models.context import training_context
        from orchestration.models.offer_scoring import score_offers
        from orchestration.models.scoring import score_customers
        from orchestration.scores.account_default import keep_default_probabilities

        with build_numbers.build(home, "scores", context.run_id) as connection:
            training = training_context(connection, home.settings, context.run_id, context.run.tags)
            customers = score_customers(connection, training)
            tell(f"{customers:,} customers scored")
            offers = score_offers(connection, training)
            tell(f"{offers:,} offers to customers scored")
            loans = keep_default_probabilities(connection, training)
            tell(f"{loans:,} loans' probabilities of default kept")
            described = {key: rows_and_columns(connection, key) for key in SCORES}
        for key, metadata in described.items():
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return scores
