"""Contacts: who may be contacted, with what, on which channel, built by dbt from the scores."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from orchestration.platform.dbt import dbt_layer


def contacts_assets(manifest: Path, months: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    return dbt_layer("contacts", "tag:contacts", manifest, months)
