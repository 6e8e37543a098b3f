"""dbt's layers as Dagster assets: one step a layer, so that the gates fit between them."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from orchestration.platform import build_numbers, built_by, reference, spark
from orchestration.platform.asset_metadata import COLUMN_LINEAGE, ROW_COUNT, count_rows, team
from orchestration.platform.column_lineage import declared_columns, lineage_of
from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.failures import failure
from orchestration.platform.files import write_whole
from orchestration.platform.partitions import ONE_MONTH_A_RUN
from orchestration.platform.resources import WAREHOUSE_POOL, Home
from orchestration.platform.settings import Settings
from orchestration.platform.supervision import ended_with_this_process

# dbt's tests on sources would exempt the staging step from the landing gate (a step that itself
# carries a check on an upstream asset does not wait for that asset's blocking checks).
TRANSLATION = DagsterDbtTranslatorSettings(
    enable_source_tests_as_checks=False, enable_code_references=False
)

WATCHED = {".sql", ".yml", ".csv"}
SHOWN_ROWS = 5
MANIFEST, PARTIAL_PARSE, STAMP = "manifest.json", "partial_parse.msgpack", "project.digest"
RUN = "run"
PARSE_LOG = "parse.log"
DBT_ERRORS = "Errors parsed from dbt logs:"
SHOWN_LINES = 12
# What the widest queries by months hold of an account and month, about; some run side by side.
BYTES_AN_ACCOUNT_MONTH = 1000
DBT_PROGRAM = str(Path(sys.executable).parent / "dbt")


class LayerTranslator(DagsterDbtTranslator):
    """Keys are schema and table, groups are the stages."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey([dbt_resource_props["source_name"], dbt_resource_props["name"]])
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["alias"]])

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        # What earlier refreshes left is made, in this one, only after it was read: a dependency on
        # the stage that makes it would be a circle.
        spec = super().get_asset_spec(manifest, unique_id, project)
        left = {
            self.get_asset_key(source)
            for source in manifest["sources"].values()
            if source["config"]["meta"].get("of_earlier_refreshes")
        }
        deps = [dep for dep in spec.deps if dep.asset_key not in left]
        return spec.replace_attributes(deps=deps)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        # Dagster's own has the SQL behind it, which `get_metadata` keeps apart.
        return str(dbt_resource_props["description"])

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        metadata = super().get_metadata(dbt_resource_props)
        if dbt_resource_props["resource_type"] != "model":
            return metadata
        sql = dg.MetadataValue.md(f"```sql\n{dbt_resource_props['raw_code']}\n```")
        return {**metadata, "sql": sql}

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str]:
        return team(dbt_resource_props["config"]["meta"]["owner"])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return str(dbt_resource_props["schema"])


def target_path(settings: Settings) -> Path:
    """Where dbt keeps what it writes: in the home, so that two homes never meet.

    The manifest that definitions are made from lies here; what dbt itself reads again and writes,
    the parsed project and compiled SQL, below in `RUN`.
    """
    return settings.home / "dbt"


def project_digest(settings: Settings) -> str:
    """A digest of the dbt project's files and the bank's own reference data: when it changes, the
    manifest is parsed anew and the warehouse built anew."""
    digest = hashlib.sha256(reference.digest_of(settings).encode())
    if settings.engine != "duckdb":
        digest.update(settings.engine.encode())
    for path in sorted(DBT_PROJECT.rglob("*")):
        relative = path.relative_to(DBT_PROJECT)
        if path.suffix in WATCHED and relative.parts[0] not in {"target", "logs"}:
            digest.update(str(relative).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def manifest_of(settings: Settings) -> Path:
    """The parsed manifest of the dbt project, parsed first where it is missing, damaged or out of
    date.

    Raises
    ------
    RuntimeError
        With dbt's own words, when the project does not parse.
    """
    folder, digest = target_path(settings), project_digest(settings)
    if not _is_fresh(folder, digest):
        settings.temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="parsing-", dir=settings.temporary) as draft:
            _keep(Path(draft), _parse(draft), folder, digest)
    return folder / MANIFEST


def _parse(draft: str) -> str:
    """Parse the project into a folder; returns dbt's log."""
    places = ["--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)]
    command = [DBT_PROGRAM, "--no-use-colors", "parse", *places]
    parsed = subprocess.run(
        [*command, "--target-path", draft, "--log-path", draft], capture_output=True, text=True
    )
    if parsed.returncode != 0:
        raise RuntimeError(
            f"dbt parse failed:\n{parsed.stdout}{parsed.stderr}\n"
            "Correct what dbt names. After an update of the project, run make install: an "
            "older dbt does not read it."
        )
    return parsed.stdout


def _is_fresh(folder: Path, digest: str) -> bool:
    """Whether the manifest is whole and of this digest."""
    try:
        return (folder / STAMP).read_text() == _stamp(digest, folder / MANIFEST)
    except OSError:
        return False


def _stamp(digest: str, manifest: Path) -> str:
    # Another dbt keeps what it parsed in another form.
    parser = version("dbt-core")
    return f"{digest} {hashlib.sha256(manifest.read_bytes()).hexdigest()} {parser}"


def _keep(draft: Path, log: str, folder: Path, digest: str) -> None:
    """Put a parsed project in place, whole or not at all; the stamp, last, makes it valid."""
    stamp = _stamp(digest, draft / MANIFEST)
    (folder / RUN).mkdir(parents=True, exist_ok=True)
    # Where the layers' builds find it, and parse nothing again.
    os.replace(draft / PARTIAL_PARSE, folder / RUN / PARTIAL_PARSE)
    os.replace(draft / MANIFEST, folder / MANIFEST)
    write_whole(folder / PARSE_LOG, log)
    write_whole(folder / STAMP, stamp)


def models_of(manifest: Path, layer: str) -> list[dg.AssetKey]:
    """The asset keys of a layer's models."""
    nodes = json.loads(manifest.read_text())["nodes"].values()
    return sorted(
        dg.AssetKey([node["schema"], node["alias"]])
        for node in nodes
        if node["resource_type"] == "model" and node["schema"] == layer
    )


def dbt_resource() -> DbtCliResource:
    """The dbt command line of this installation with the project's own profile."""
    return DbtCliResource(
        project_dir=str(DBT_PROJECT), profiles_dir=str(DBT_PROJECT), dbt_executable=DBT_PROGRAM
    )


def failed_tests(
    connection: duckdb.DuckDBPyConnection,
    failed: Mapping[str, Any],
    manifest: Path,
    target: Path,
) -> list[str]:
    """What the tests that failed found, the first rows of each; dbt itself reports only how many.

    Parameters
    ----------
    failed : rows found by the id of each test
    target : the folder that dbt has written the compiled tests into
    """
    nodes = json.loads(manifest.read_text())["nodes"]
    found = []
    for test, rows in failed.items():
        compiled = target / "compiled" / nodes[test]["package_name"] / _place(nodes[test])
        cursor = connection.execute(f"select * from ({compiled.read_text()}) limit {SHOWN_ROWS}")
        names = [column[0] for column in cursor.description or []]
        shown = [
            ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True))
            for row in cursor.fetchall()
        ]
        found.append(f"{test.split('.')[2]} ({rows} rows): {' | '.join(shown)}")
    return found


def _place(node: Mapping[str, Any]) -> Path:
    """Where dbt writes a compiled test: one of a yml file in a folder of that file's name."""
    file = Path(node["original_file_path"])
    return file if file.name == Path(node["path"]).name else file / node["path"]


def failures_of(event: object) -> dict[str, Any]:
    """Rows found by the id of the test, where the event is that of a test that failed."""
    if not isinstance(event, dg.AssetCheckResult | dg.AssetObservation):
        return {}
    metadata = {name: one.value for name, one in event.metadata.items()}
    if metadata.get("status") != "fail":
        return {}
    return {str(metadata["unique_id"]): metadata["dagster_dbt/failed_row_count"]}


def unbuilt(message: str, log: Path) -> str:
    """dbt's error where it came to no table, so that there are no results to look into: the
    project does not compile, or the warehouse cannot be opened."""
    words = message.partition(DBT_ERRORS)[2].strip()
    if not words and log.exists():
        words = "\n".join(log.read_text(errors="replace").strip().splitlines()[-SHOWN_LINES:])
    return f"dbt ended before it built a table: {words or message} (its log: {log})"


def months_at_once(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """How many months dbt builds at a time of a table that is built by months: as many as the
    engine's memory allows for the bank's accounts."""
    ((accounts,),) = connection.execute(
        "select count(distinct account_id) from landing.account"
    ).fetchall()
    return max(1, settings.memory_bytes // (BYTES_AN_ACCOUNT_MONTH * max(1, accounts)))


def dbt_layer(
    layer: str,
    select: str,
    manifest: Path,
    months: dg.PartitionsDefinition,
    prepare: Callable[[duckdb.DuckDBPyConnection, Settings], object] | None = None,
) -> dg.AssetsDefinition:
    """One layer of the dbt project as one step, built under its build number.

    `prepare` readies the warehouse for it; dbt begins when that connection is closed.
    Unit tests are left out: they need no data and run with `make test`.
    """

    @dbt_assets(
        manifest=manifest,
        select=select,
        name=f"{layer}_layer",
        partitions_def=months,
        backfill_policy=ONE_MONTH_A_RUN,
        pool=WAREHOUSE_POOL,
        dagster_dbt_translator=LayerTranslator(settings=TRANSLATION),
    )
    def _layer(context: dg.AssetExecutionContext, dbt: DbtCliResource, home: Home) -> Iterator:
        with home.warehouse() as connection:
            build_numbers.require(connection, layer)
            build_numbers.begin(connection, layer, context.run_id)
            if prepare is not None:
                prepare(connection, home.settings)
            os.environ["DBT_MONTHS_AT_ONCE"] = str(months_at_once(connection, home.settings))
            on_spark = home.settings.engine == "spark" and layer in spark.LAYERS
            if on_spark:
                os.environ.update(spark.prepare(connection, home.settings))
        engine, target = dbt, target_path(home.settings) / RUN
        # Without its artifacts: dbt would write the whole manifest again for every layer.
        arguments = ["build", "--no-write-json", "--exclude-resource-type", "unit_test"]
        if on_spark:
            engine, target = spark.resource(), target_path(home.settings) / "spark"
            # Not the resource's own target: Dagster would load its adapter, which is not here.
            arguments += ["--target", "spark"]
        invocation = engine.cli(arguments, context=context, target_path=target)
        built: list[dg.Output] = []
        failed: dict[str, Any] = {}
        came = False
        try:
            with ended_with_this_process(invocation.process):
                for event in invocation.stream():
                    came = True
                    failed |= failures_of(event)
                    if isinstance(event, dg.Output):
                        # Counted when dbt has let go of the warehouse.
                        built.append(event)
                    else:
                        yield event
        except DagsterDbtCliRuntimeError as error:
            yield from built
            if not came:
                raise dg.Failure(unbuilt(str(error), target / "dbt.log")) from error
            if not failed:
                raise
            if on_spark:
                found = [f"{test.split('.')[2]} ({rows} rows)" for test, rows in failed.items()]
            else:
                with home.warehouse() as connection:
                    found = failed_tests(connection, failed, manifest, target)
            places = [f"dbt test {name.split('.')[2]}" for name in failed]
            raise failure(f"dbt tests found: {'; '.join(found)}", places) from error
        if on_spark:
            _show(dbt, home.settings, select)
        nodes = [
            invocation.manifest["nodes"][output.metadata["unique_id"].value] for output in built
        ]
        with home.warehouse() as connection:
            if layer in spark.LAYERS:
                tables = [
                    f"{node['schema']}.{node['alias']}"
                    for node in nodes
                    if node["config"]["materialized"] != "view"
                ]
                built_by.record(connection, home.settings, layer, tables, on_spark=on_spark)
            build_numbers.finish(connection, layer)
            counts = [
                count_rows(connection, context.asset_key_for_output(output.output_name))
                for output in built
            ]
        columns = declared_columns(invocation.manifest)
        for output, node, count in zip(built, nodes, counts, strict=True):
            lineage = {}
            if node["resource_type"] == "model" and not on_spark:
                compiled = target / "compiled" / node["package_name"] / node["original_file_path"]
                lineage = {COLUMN_LINEAGE: lineage_of(compiled.read_text(), columns)}
            yield output.with_metadata({**output.metadata, **lineage, ROW_COUNT: count})

    return _layer


def _show(dbt: DbtCliResource, settings: Settings, select: str) -> None:
    """Let DuckDB read what Spark built: its tables through views, and the layer's own views."""
    os.environ["DBT_SPARK_TABLES"] = json.dumps(spark.tables(settings))
    manifest = manifest_of(settings)
    tags = set(select.split())
    views = " ".join(f"{part},config.materialized:view" for part in select.split())
    arguments = ["run", "--select", views]
    if not any(
        node["config"]["materialized"] == "view" and {f"tag:{tag}" for tag in node["tags"]} & tags
        for node in json.loads(manifest.read_text())["nodes"].values()
    ):
        # Without a view to make, dbt would run no hook, and take no table.
        arguments = ["run-operation", "take_sources"]
    invocation = dbt.cli(
        [*arguments, "--no-write-json"], target_path=target_path(settings) / RUN, manifest=manifest
    )
    with ended_with_this_process(invocation.process):
        invocation.wait()
