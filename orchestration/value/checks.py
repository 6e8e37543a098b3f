"""GV: nothing is learnt from, or published of, a profit that does not reconcile to the cent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.platform.dbt import models_of
from orchestration.platform.gates import gate

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Suite


def value_gate(manifest: Path) -> dg.AssetChecksDefinition:
    def suite(connection: duckdb.DuckDBPyConnection) -> Suite:
        from expectations.suites.value import value_suite

        return value_suite()

    return gate(
        "GV",
        [*models_of(manifest, "value"), dg.AssetKey(["decisions", "price_floor"])],
        suite,
        "profit agrees with the ledger, the overhead pools and every roll-up, to the cent",
    )
