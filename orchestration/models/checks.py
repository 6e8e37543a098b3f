"""G3: checks models, values and features before anything is scored with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from orchestration.models.assets import MODELS
from orchestration.platform.gates import gate, models_on

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Suite


def models_gate() -> dg.AssetChecksDefinition:
    """G3 judges the features too that the models are built on."""

    def suite(connection: duckdb.DuckDBPyConnection) -> Suite:
        from expectations.suites.models import models_suite

        return models_suite(models_on(connection))

    return gate(
        "G3",
        MODELS,
        suite,
        "features are whole, each champion is there and no worse than its rule",
        earlier=[dg.AssetKey(["features", "customer_month"])],
    )
