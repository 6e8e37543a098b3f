"""Scores: what the champions say of every customer, and of every customer and offer."""

from collections.abc import Iterator, Sequence

import dagster as dg

from orchestration import builds
from orchestration.models.assets import MODELS
from orchestration.resources import Home

SCORES = [dg.AssetKey(["scores", "customer"]), dg.AssetKey(["scores", "offer"])]


def scores_assets(features: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """Both score tables as one step; from models:/…@champion only."""
    descriptions = ("value of the next months with its interval", "probability of response")

    @dg.multi_asset(
        name="scores_layer",
        specs=[
            dg.AssetSpec(
                key,
                deps=[*features, *MODELS],
                group_name="scores",
                kinds={"duckdb"},
                description=description,
            )
            for key, description in zip(SCORES, descriptions, strict=True)
        ],
    )
    def scores(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        from orchestration.models.scoring import score_customers, score_offers

        with builds.build(home, "scores", context.run_id) as connection:
            training = home.training(connection, context.run_id)
            counts = (
                score_customers(connection, training),
                score_offers(connection, training),
            )
        for key, count in zip(SCORES, counts, strict=True):
            yield dg.MaterializeResult(asset_key=key, metadata={"dagster/row_count": count})

    return scores
