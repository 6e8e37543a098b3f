"""Features: what was known of a customer at the end of each month, built by dbt."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from orchestration.platform.dbt import dbt_layer


def features_assets(manifest: Path, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    return dbt_layer("features", "tag:features", manifest, months)
