"""G5: the plan contacts only customers who may be contacted, and keeps every limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from orchestration.campaigns.assets import CAMPAIGNS
from orchestration.decisions.assets import LISTS, PLAN
from orchestration.platform.gates import gate

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Suite


def decisions_gate() -> dg.AssetChecksDefinition:
    def suite(connection: duckdb.DuckDBPyConnection) -> Suite:
        from expectations.suites.decisions import decisions_suite

        return decisions_suite()

    return gate(
        "G5",
        [*LISTS, *CAMPAIGNS],
        suite,
        "the plan keeps suppressions and limits, and contacts no customer of a control group",
        # The lists are made from the plan: they do not wait for the gate that judges both.
        earlier=[
            *(dg.AssetKey(["contacts", name]) for name in ("candidate", "contactability")),
            *PLAN,
        ],
    )
