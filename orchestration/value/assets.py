"""Value: profit by account and month, and its roll-ups, built by dbt."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from orchestration.platform.dbt import dbt_layer
from orchestration.value import default_probability


def value_assets(manifest: Path, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Expected loss reads the scores of earlier refreshes, which are loaded before dbt starts."""
    return dbt_layer("value", "tag:value", manifest, months, default_probability.ensure)
