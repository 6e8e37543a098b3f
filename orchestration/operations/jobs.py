"""The jobs over assets; `models/jobs.py` has those of promotion and rollback."""

from __future__ import annotations

from typing import Any

import dagster as dg

from orchestration.platform.resources import MONTHS_TAG, TRAIN_TAG
from orchestration.platform.runs import REFRESH, TRAIN
from orchestration.platform.settings import Settings

# The return type of `define_asset_job`, which Dagster does not export.
AssetJob = Any


def limit(settings: Settings) -> dict[str, str]:
    """The tag after whose hours Dagster's daemon ends a run."""
    return {"dagster/max_runtime": str(settings.max_hours * 3600)}


def refresh_job(settings: Settings, months: dg.PartitionsDefinition) -> AssetJob:
    """Everything from landing to release, with all gates, as of one month a run."""
    return dg.define_asset_job(
        REFRESH,
        selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks(),
        partitions_def=months,
        tags=limit(settings),
        description=(
            "Everything from the bank's delivery to the published release and its portal, as of a "
            "month. In order: landing, G1, base, G2, value, GV, features, models, G3, scores, "
            "alerts, G4, contacts, decisions, G5, release, portal; the partition is the as-of "
            f"month. Rebuilds the months whose records changed, and with the tag {MONTHS_TAG} also "
            "those of YYYY-MM:YYYY-MM."
        ),
    )


def train_job(settings: Settings) -> AssetJob:
    """Train the models from the current features and run their gate.

    The scores are then older than the models: no release is published before the next refresh.
    """
    return dg.define_asset_job(
        TRAIN,
        selection=dg.AssetSelection.groups("models"),
        tags={TRAIN_TAG: "always", **limit(settings)},
        description=(
            "Trains candidates for the models, compares them with those in use, and scores nobody. "
            "From the current features, all models or the selected ones, then gate G3."
        ),
    )


def refresh_tags(as_of: str, months: tuple[str, str] | None = None) -> dict[str, str]:
    """The tags of a refresh as of a month, `YYYY-MM`. It rebuilds the months whose records changed,
    and those from the first to the last of `months`."""
    asked = {MONTHS_TAG: ":".join(months)} if months else {}
    return {"dagster/partition": as_of, **asked}
