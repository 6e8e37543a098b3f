"""G1: nothing is built on incomplete records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from orchestration.landing.assets import key_of
from orchestration.platform.gates import gate
from sources.contract import SIGNS, TABLES, WANTED

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Suite


def landing_gate() -> dg.AssetChecksDefinition:
    def suite(connection: duckdb.DuckDBPyConnection) -> Suite:
        from expectations.suites.landing import landing_suite

        return landing_suite(SIGNS, optional=WANTED)

    return gate(
        "G1",
        [key_of(table.name) for table in TABLES],
        suite,
        "delivered records are complete, dated, in balance and have few invalid rows",
    )
