"""Release: the audited build, copied and published."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from orchestration.platform.addresses import reports_address
from orchestration.platform.asset_metadata import COLUMN_SCHEMA, ROW_COUNT, columns_of, team
from orchestration.platform.engine import connect
from orchestration.platform.environment import code_version
from orchestration.platform.gates import REPORT
from orchestration.platform.progress import report_progress
from orchestration.platform.resources import WAREHOUSE_POOL, Home
from orchestration.platform.settings import Settings
from orchestration.release import approval
from orchestration.release.publish import Release, publish
from orchestration.release.restatement import record_restatement
from orchestration.release.value_report import VALUE_REPORT, render_value_report
from sources.message import Message


def release_asset(upstream: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The published release, downstream of everything it carries."""

    @dg.asset(
        key=["release", "published"],
        deps=list(upstream),
        group_name="release",
        kinds={"duckdb"},
        owners=team("data engineering"),
        pool=WAREHOUSE_POOL,
        description="The published release: what was built and judged, in one file for readers. "
        "It is published/current.duckdb, and replaces the release before in one step.",
    )
    def published(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
        settings = home.settings
        from orchestration.platform.gate_report import render_report

        with home.warehouse() as connection:
            record_restatement(connection, settings)
            report_progress(Message("copying the audited tables into a new release"))
            release = publish(
                connection,
                settings,
                run_id=context.run_id,
                code_version=code_version(),
                waits=approval.waits_for_approval(connection, settings),
            )
            # The release is served from here on: a failure below is logged as a warning only.
            reports = settings.reports / release.release_id
            metadata: dict[str, dg.MetadataValue] = {
                "tables": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"table": name, "rows": rows})
                        for name, rows in release.row_counts.items()
                    ]
                ),
                "release_id": dg.MetadataValue.text(release.release_id),
                "path": dg.MetadataValue.path(str(release.path)),
                ROW_COUNT: dg.MetadataValue.int(sum(release.row_counts.values())),
            }
            with beside(release, Message("a gate report")):
                render_report(connection, reports / REPORT, settings.language)
                metadata["gate_report"] = dg.MetadataValue.url(
                    reports_address(settings, reports / REPORT)
                )
        if release.waits:
            name, why = release.release_id, release.waits
            report_progress(Message("{0} waits for approval: {1}", name, why))
            metadata["waits"] = dg.MetadataValue.text(release.waits)
        else:
            name = release.release_id
            report_progress(Message("{0} is served; value report and lists are written", name))
        with (
            beside(release, Message("its columns in the UI")),
            connect(settings, release.path, read_only=True) as served,
        ):
            # Of the one row that describes the release; its tables are counted above.
            columns = columns_of(served, dg.AssetKey(["meta", "release"]))
            metadata[COLUMN_SCHEMA] = dg.MetadataValue.table_schema(columns)
        if report_value(context, release, settings, reports / VALUE_REPORT):
            metadata["value_report"] = dg.MetadataValue.url(
                reports_address(settings, reports / VALUE_REPORT)
            )
        if not release.waits and export_lists(context, release, settings):
            metadata["exports"] = dg.MetadataValue.path(str(settings.exports / release.release_id))
        return dg.MaterializeResult(metadata=metadata)

    return published


@contextmanager
def beside(release: Release, what: str) -> Iterator[None]:
    """Run a step after the release is served; a failure is logged as a warning."""
    try:
        yield
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        report_progress(
            Message("release {0} is served without {1}: {2}", release.release_id, what, reason),
            warns=True,
        )


def report_value(
    context: dg.AssetExecutionContext, release: Release, settings: Settings, path: Path
) -> bool:
    """Render the value report of a release, the latest one; whether that went well."""
    with beside(release, Message("a value report")):
        with connect(settings, release.path, read_only=True) as connection:
            render_value_report(connection, path, settings.language)
        if not release.waits:
            shutil.copyfile(path, settings.reports / VALUE_REPORT)
        return True
    return False


def export_lists(context: dg.AssetExecutionContext, release: Release, settings: Settings) -> bool:
    """Export the lists of a release; whether that went well."""
    with beside(release, Message("exports")):
        approval.export_lists(settings, release.path)
        return True
    return False
