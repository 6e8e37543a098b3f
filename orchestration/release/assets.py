"""Release: the audited build, copied and published."""

import shutil
from collections.abc import Sequence

import dagster as dg

from orchestration.environment import code_version
from orchestration.gates import REPORT
from orchestration.release.publish import publish
from orchestration.resources import Home


def release_asset(upstream: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The published release, downstream of everything it carries."""

    @dg.asset(
        key=["release", "published"],
        deps=list(upstream),
        group_name="release",
        kinds={"duckdb"},
        description="published/current.duckdb: the one database that readers open",
    )
    def published(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
        settings = home.settings
        with home.warehouse() as connection:
            release = publish(
                connection, settings, run_id=context.run_id, code_version=code_version()
            )
        report = settings.reports / release.release_id / REPORT
        report.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(settings.reports / REPORT, report)
        return dg.MaterializeResult(
            metadata={
                "release_id": release.release_id,
                "path": dg.MetadataValue.path(str(release.path)),
                "gate_report": dg.MetadataValue.path(str(report)),
                "dagster/row_count": sum(release.row_counts.values()),
            }
        )

    return published
