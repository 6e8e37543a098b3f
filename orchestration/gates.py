"""Gates as blocking asset checks: Great Expectations judges, Dagster stops what lies downstream."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from orchestration import builds
from orchestration.resources import Home

if TYPE_CHECKING:
    import duckdb

    from expectations.rules import Suite

REPORT = "gates.html"


def models_on(connection: "duckdb.DuckDBPyConnection") -> tuple[str, ...]:
    """The models that this bank's records allow; rules about the others are not judged."""
    return tuple(
        name
        for (name,) in connection.execute(
            "select distinct model_name from meta.model_version where version is not null "
            "order by all"
        ).fetchall()
    )


def gate(
    name: str,
    assets: Sequence[dg.AssetKey],
    suite: Callable[["duckdb.DuckDBPyConnection"], "Suite"],
    description: str,
) -> dg.AssetChecksDefinition:
    """A gate over a layer: one blocking check on each of the layer's assets.

    All of them fail together, so that no way round the gate is left.
    """
    layer = builds.GATES[name]

    @dg.multi_asset_check(
        name=f"gate_{name}",
        specs=[
            dg.AssetCheckSpec(name, asset=asset, blocking=True, description=description)
            for asset in assets
        ],
    )
    def _gate(context: dg.AssetCheckExecutionContext, home: Home) -> Iterator[dg.AssetCheckResult]:
        from expectations.gate import judge
        from expectations.report import render_report

        with home.warehouse() as connection:
            number = builds.number_of(connection, layer)
            outcome = judge(connection, suite(connection), number, context.run.run_id)
            report = home.settings.reports / REPORT
            render_report(connection, report)
        failed = [
            result for result in outcome.results if not result.success and result.severity == "fail"
        ]
        warned = [
            result for result in outcome.results if not result.success and result.severity == "warn"
        ]
        if warned:
            context.log.warning(
                f"{name} warns, this does not hold: "
                + "; ".join(f"{rule.meaning} ({rule.subject})" for rule in warned)
            )
        if failed:
            context.log.error(outcome.message())
        for asset in assets:
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=asset,
                passed=outcome.success,
                severity=dg.AssetCheckSeverity.ERROR,
                description=outcome.message() if failed else None,
                metadata={
                    "rules": len(outcome.results),
                    "failed": len(failed),
                    "warnings": len(warned),
                    "report": dg.MetadataValue.path(str(report)),
                },
            )

    return _gate
