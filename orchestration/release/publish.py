"""Write, audit, publish: a release becomes visible as a whole or not at all.

The build warehouse is audited, copied into a new file beside the served one, flushed to disk and
made read-only; then one atomic rename moves the link that readers open. A crash, a full disk or a
failed gate at any moment before that rename leaves the old release served, byte for byte.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.models.studies import OF_CUSTOMERS
from orchestration.platform import audit, build_numbers, overrides
from orchestration.platform.bank_currency import bank_currency
from orchestration.platform.files import flush
from orchestration.platform.gates import RUNS
from orchestration.platform.identity import ADJUST, PROPOSE, PUBLISH
from orchestration.platform.optional_tables import has_table
from orchestration.platform.progress import report_progress
from orchestration.platform.releases import (
    ReleaseRefused,
    serve,
    surplus,
)
from orchestration.platform.settings import Settings
from orchestration.platform.spark import SHOWN
from orchestration.platform.tables import write_table
from orchestration.release.features import released_features
from sources.contract import TABLES
from sources.message import Message

PUBLISHED_SCHEMAS = (
    *("base", "value", "scores", "contacts", "decisions", "campaigns", "quarantine", "profile"),
)
# A misplaced value of such a table may be an e-mail address.
WITHHELD = {("quarantine", table.name) for table in TABLES if table.personal}
# Steps of the build between two tables that a release carries: the models' scores are joined.
BETWEEN = {("decisions", "contact_reason"), *(("scores", one.name) for one in OF_CUSTOMERS)}
# Views whose rows a release keeps: they compare tables as they stand.
PUBLISHED_VIEWS = (("value", "reconciliation"),)
# Of these schemas only some tables: the others are steps of the build.
PUBLISHED_TABLES = {
    "alerts": ("credit", "transaction"),
    "meta": (
        *("audit", "bank", "bad_code", "engine", "gate_override", "gate_result", "input_file"),
        *("model_version", "model_evaluation", "model_kind", "model_audit", "model_drift"),
        *("model_decile", "model_monitoring"),
        *("reference_data", "restatement"),
    ),
}


@dataclass(frozen=True)
class Release:
    """A published release."""

    release_id: str
    path: Path
    row_counts: dict[str, int]
    # Why it waits for approval; None for a published one.
    waits: str | None = None


def publish(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    run_id: str,
    code_version: str,
    waits: str | None = None,
) -> Release:
    """Publish the build that stands in the build warehouse.

    With a reason why it `waits` for approval it is proposed: the release before stays served, and
    the proposed one replaces one that waits already.

    Raises
    ------
    ReleaseRefused
        When a layer is missing, unfinished or out of order, or a gate did not pass for this build:
        a rule failed that no override in force covers.
    orchestration.platform.identity.ActRefused
        Without the role.
    """
    act = PROPOSE if waits else PUBLISH
    detail = "; ".join(part for part in (f"run {run_id}", waits) if part)
    with audit.audited(settings, act, "build", detail=detail) as doing:
        found = build_numbers.complaints(connection)
        found += overrides.complaints(connection, settings, [doing.person.name])
        if found:
            raise ReleaseRefused(
                "this build is not published: "
                + "; ".join(found)
                + ". Run the whole refresh (make refresh). The release served before is untouched"
            )
        accepted = [
            f"overridden: {overrides.in_words(row)}" for row in overrides.recorded(connection)
        ]
        doing.detail = "; ".join((doing.detail, *accepted))
        _record_adjustments(connection, settings)
        release = _written(connection, settings, run_id, code_version, waits)
        doing.subject = doing.release_id = release.release_id
    if not waits:
        # The trail has the publication before readers see it.
        serve(settings, release.path, PUBLISH)
        keep_latest(settings)
    return release


def _written(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    code_version: str,
    waits: str | None,
) -> Release:
    """A new release beside the served one, complete and flushed."""
    as_of, source = connection.execute(
        "select strftime(as_of, '%Y-%m'), source from landing.refresh_window"
    ).fetchall()[0]
    created_at = datetime.now(UTC)
    release_id = f"{as_of}-{created_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:4]}"
    releases = settings.published / ("proposed" if waits else "releases")
    releases.mkdir(parents=True, exist_ok=True)
    _clear_unfinished(releases)
    unfinished = releases / f".{release_id}.unfinished"
    try:
        head = _copy_trail(connection, settings)
        row_counts = _copy(connection, unfinished)
        counts = json.dumps(row_counts)
        currency = settings.currency or bank_currency(connection)
        _describe(
            connection,
            unfinished,
            (release_id, as_of, source, created_at, code_version, run_id, counts, *head, currency),
        )
        flush(unfinished)
        unfinished.chmod(0o400)
        path = releases / f"{release_id}.duckdb"
        os.replace(unfinished, path)
        flush(releases)
    finally:
        unfinished.unlink(missing_ok=True)
    # One that waited is of an earlier build.
    drop_proposed(settings, except_for=path)
    return Release(release_id, path, row_counts, waits)


def drop_proposed(settings: Settings, except_for: Path | None = None) -> None:
    """Remove the release that waits for approval, with its reports."""
    for path in (settings.published / "proposed").glob("*.duckdb"):
        if path != except_for:
            path.unlink()
            shutil.rmtree(settings.reports / path.stem, ignore_errors=True)


def _copy_trail(connection: duckdb.DuckDBPyConnection, settings: Settings) -> tuple[int, str]:
    """Write `meta.audit`, the trail up to this publication; returns the number of its lines and the
    hash of the last.

    Raises
    ------
    orchestration.platform.audit.TrailBroken
        A broken trail is not published.
    """
    rows = [asdict(entry) for entry in audit.entries(settings)]
    write_table(connection, "meta.audit", pa.Table.from_pylist(rows) if rows else None)
    return (rows[-1]["sequence"], rows[-1]["hash"]) if rows else (0, audit.START)


def _record_adjustments(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Record each adjustment that the trail does not have as it stands."""
    if not has_table(connection, "base.adjustment"):
        return
    columns = ("adjustment_id", "maker", "checker", "amount", "month", "branch_id")
    table = connection.table("base.adjustment").order("adjustment_id")
    found = table.project(", ".join((*columns, "product_line", "item"))).fetchall()
    known = {(one.subject, one.detail) for one in audit.entries(settings) if one.act == ADJUST}
    taken = [
        (
            f"adjustment {name}",
            f"maker {maker}, checker {checker}, amount {amount}, "
            f"{month:%Y-%m}, {branch}, {line}, {item}",
        )
        for name, maker, checker, amount, month, branch, line, item in found
    ]
    audit.record_all(settings, ADJUST, [one for one in taken if one not in known])


def published_tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Schema and name of every table a release carries, in order."""
    tables = connection.execute(
        """
        select schema_name, table_name
        from duckdb_tables() where database_name = current_database()
            and (
                schema_name in (select unnest(?))
                or schema_name || '.' || table_name in (select unnest(?))
            )
        order by all
        """,
        [
            list(PUBLISHED_SCHEMAS),
            [f"{schema}.{name}" for schema, names in PUBLISHED_TABLES.items() for name in names],
        ],
    ).fetchall()
    views = connection.execute(
        "select schema_name, view_name, comment = ? from duckdb_views() "
        "where database_name = current_database()",
        [SHOWN],
    ).fetchall()
    found = {
        *tables,
        *(
            (schema, view)
            for schema, view, on_spark in views
            if (schema, view) in PUBLISHED_VIEWS or (on_spark and schema in PUBLISHED_SCHEMAS)
        ),
    }
    return sorted(found - WITHHELD - BETWEEN)


def _copy(connection: duckdb.DuckDBPyConnection, target: Path) -> dict[str, int]:
    row_counts: dict[str, int] = {}
    connection.execute(f"attach '{_quoted(target)}' as release")
    try:
        for schema, table in published_tables(connection):
            connection.execute(f'create schema if not exists release."{schema}"')
            connection.execute(
                f'create table release."{schema}"."{table}" as from "{schema}"."{table}"'
            )
            row_counts[f"{schema}.{table}"] = connection.execute(
                f'select count(*) from release."{schema}"."{table}"'
            ).fetchall()[0][0]
        row_counts |= publish_features(connection, "release")
    finally:
        connection.execute("detach release")
    return row_counts


def publish_features(connection: duckdb.DuckDBPyConnection, target: str) -> dict[str, int]:
    """Write the input rows of the scores into the release that is attached as `target`; returns
    the rows by table."""
    row_counts: dict[str, int] = {}
    for name, rows in released_features(connection).items():
        connection.execute(f"create schema if not exists {target}.features")
        rows.create(f"{target}.features.{name}")
        ((count,),) = connection.execute(
            f"select count(*) from {target}.features.{name}"
        ).fetchall()
        row_counts[f"features.{name}"] = count
    return row_counts


def _describe(
    connection: duckdb.DuckDBPyConnection, target: Path, values: tuple[object, ...]
) -> None:
    connection.execute(f"attach '{_quoted(target)}' as release")
    try:
        connection.execute("create schema if not exists release.meta")
        connection.execute(
            "create table release.meta.release (release_id varchar, as_of varchar, source varchar, "
            "created_at timestamptz, code_version varchar, dagster_run_id varchar, "
            "row_counts json, audit_lines bigint, audit_hash varchar, currency varchar)"
        )
        connection.execute(
            "insert into release.meta.release values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", list(values)
        )
        connection.execute("checkpoint release")
    finally:
        connection.execute("detach release")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _clear_unfinished(releases: Path) -> None:
    for leftover in releases.glob(".*.unfinished*"):
        leftover.unlink()


def keep_latest(settings: Settings) -> None:
    """Remove releases beyond those that are kept; a failure is reported, no more."""
    try:
        _keep_latest(settings)
    except OSError as error:
        report_progress(
            Message(
                "releases beyond the last {0} could not be removed: {1}",
                *(settings.kept_releases, str(error)),
            )
        )


def _keep_latest(settings: Settings) -> None:
    for path in surplus(settings):
        published = path.stat().st_mtime
        path.unlink()
        for run in (settings.reports / RUNS).glob("*"):
            # Its own run's, and those of earlier runs that published nothing.
            if run.stat().st_mtime <= published:
                shutil.rmtree(run, ignore_errors=True)
        for folder in (settings.reports, settings.customer_pages):
            shutil.rmtree(folder / path.stem, ignore_errors=True)
