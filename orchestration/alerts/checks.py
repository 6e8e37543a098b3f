"""G4: nothing is published with scores or alerts that are missing, impossible or adrift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from orchestration.alerts.assets import ALERTS
from orchestration.models.studies import STUDIES
from orchestration.platform.gates import gate, models_on
from orchestration.scores.assets import PUBLISHED

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Suite


REASON = dg.AssetKey(["scores", "reason"])


def scores_gate() -> dg.AssetChecksDefinition:
    def suite(connection: duckdb.DuckDBPyConnection) -> Suite:
        from expectations.suites.scores import scores_suite

        judges = [judge for study in STUDIES.values() for judge in study.gate]
        return scores_suite(judges, models_on(connection))

    return gate(
        "G4",
        [*ALERTS, *(key for key in PUBLISHED if key != REASON)],
        suite,
        "every customer is scored once, within bounds, by a champion; every alert gives a reason",
        # The credit alerts quote it.
        earlier=[REASON],
    )
