"""The jobs of the code location that run over assets; those of a person are in `models/jobs.py`."""

from __future__ import annotations

from typing import Any

import dagster as dg

from orchestration.platform.resources import MONTHS_TAG, TRAIN_TAG
from orchestration.platform.runs import REFRESH, TRAIN

# What `define_asset_job` returns, which Dagster exports no name for.
AssetJob = Any


def refresh_job(months: dg.PartitionsDefinition) -> AssetJob:
    """Everything from landing to release, with all gates, as of one month a run."""
    return dg.define_asset_job(
        REFRESH,
        selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks(),
        partitions_def=months,
        description=(
            "landing, G1, base, G2, value, GV, features, models, G3, scores, alerts, G4, "
            "contacts, decisions, G5, release; the partition is the as-of month. The months whose "
            "records changed are rebuilt, or with the tag "
            f"{MONTHS_TAG} at least those of YYYY-MM:YYYY-MM"
        ),
    )


def train_job() -> AssetJob:
    """The models alone, from the features as they stand, and the gate behind them.

    The scores are then older than the models: no release is published before the next refresh.
    """
    return dg.define_asset_job(
        TRAIN,
        selection=dg.AssetSelection.groups("models"),
        tags={TRAIN_TAG: "always"},
        description=(
            "models, G3: challengers from the features as they stand; scores nothing; of the "
            "assets selected, where some are"
        ),
    )


def refresh_tags(as_of: str, months: tuple[str, str] | None = None) -> dict[str, str]:
    """What makes a run the refresh as of a month, `YYYY-MM`, that rebuilds at least the months from
    the first to the last of `months`; without them those whose records changed."""
    asked = {MONTHS_TAG: ":".join(months)} if months else {}
    return {"dagster/partition": as_of, **asked}
