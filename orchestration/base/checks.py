"""G2: nothing is valued on a base that disagrees with its records or the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.platform.dbt import models_of
from orchestration.platform.gates import gate

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Suite


def base_gate(manifest: Path) -> dg.AssetChecksDefinition:
    def suite(connection: duckdb.DuckDBPyConnection) -> Suite:
        from expectations.suites.base import base_suite

        return base_suite()

    return gate(
        "G2",
        models_of(manifest, "base"),
        suite,
        "the base has every customer, account and booking once, and agrees with the ledger",
    )
