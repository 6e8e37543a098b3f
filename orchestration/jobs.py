"""The jobs of the code location that run over assets; those of a person are in `models/jobs.py`."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from orchestration.resources import MODEL_TAG, TRAIN_TAG

REFRESH, TRAIN = "refresh", "train"


def refresh_job(months: dg.PartitionsDefinition) -> UnresolvedAssetJobDefinition:
    """Everything from landing to release, with all gates, over a range of months in one run."""
    return dg.define_asset_job(
        REFRESH,
        selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks(),
        partitions_def=months,
        description=(
            "landing, G1, base, G2, value, GV, features, models, G3, scores, G4, contacts, "
            "decisions, G5, release"
        ),
    )


def train_job() -> UnresolvedAssetJobDefinition:
    """The models alone, from the features as they stand, and the gate behind them.

    The scores are then older than the models: no release is published before the next refresh.
    """
    return dg.define_asset_job(
        TRAIN,
        selection=dg.AssetSelection.groups("models"),
        tags={TRAIN_TAG: "always"},
        description=(
            "models, G3: challengers from the features as they stand; scores nothing; with the "
            f"tag {MODEL_TAG}, of that model alone"
        ),
    )


def range_tags(start: str, end: str) -> dict[str, str]:
    """What makes one run of a range of months, `YYYY-MM` both."""
    return {
        "dagster/asset_partition_range_start": start,
        "dagster/asset_partition_range_end": end,
    }
