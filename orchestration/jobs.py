"""The jobs of the code location."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

REFRESH = "refresh"


def refresh_job(months: dg.PartitionsDefinition) -> UnresolvedAssetJobDefinition:
    """Everything from landing to release, with all gates, over a range of months in one run."""
    return dg.define_asset_job(
        REFRESH,
        selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks(),
        partitions_def=months,
        description="landing, G1, base, G2, value, GV, features, models, G3, scores, G4, release",
    )
