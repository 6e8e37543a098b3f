"""Base: the customer information base, built by dbt from the landed records."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from orchestration.platform.dbt import dbt_layer


def base_assets(manifest: Path, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Staging and base as one step: staging only renames and casts, as views."""
    return dbt_layer("base", "tag:staging tag:base", manifest, months)
