"""The Dagster UI as its users meet it: `make ui` in a process of its own, GraphQL, a real browser.

One small bank, one home, one server for all tests of this file, which run in their order.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.definitions import build_definitions
from orchestration.models.assets import MODELS
from orchestration.operations.jobs import refresh_tags
from orchestration.platform import build_numbers
from orchestration.platform.runs import REFRESH
from orchestration.platform.settings import read_settings
from tests.acceptance.conftest import SMALL_BANK
from tests.acceptance.contents import digest_of_tables
from tests.browser import browser, browser_missing
from tests.conftest import PROJECT
from tests.ports import free_ports

pytestmark = pytest.mark.slow

# The last month of the bank whose export is delivered.
AS_OF = "2025-12"
LOAD_SECONDS, RUN_SECONDS = 120, 600
LOCATION = {"repositoryLocationName": "jingxi", "repositoryName": "__repository__"}

LEARNED = tuple(key.path[-1] for key in MODELS)

WORKSPACE = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  __typename
  ... on RepositoryLocation { repositories { name jobs { name } schedules { name } } } } } } } }
"""
ASSETS = """
{ assetNodes { assetKey { path } groupName description kinds isExecutable
  owners { ... on TeamAssetOwner { team } ... on UserAssetOwner { email } }
  assetChecksOrError { ... on AssetChecks { checks { name blocking } } } } }
"""
LINEAGE = """
{ assetNodes { assetKey { path } dependencyKeys { path }
  assetMaterializations(limit: 1) { metadataEntries { ... on TableColumnLineageMetadataEntry {
    lineage { columnName columnDeps { columnName assetKey { path } } } } } } } }
"""
LAUNCH = """
mutation ($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on PythonError { message } } }
"""
RUNS = """
{ runsOrError { ... on Runs { results { runId jobName status
  repositoryOrigin { repositoryLocationName } } } } }
"""
BUILT = """
fragment entry on MetadataEntry {
  label
  ... on IntMetadataEntry { intValue }
  ... on TextMetadataEntry { text }
  ... on TableSchemaMetadataEntry { schema { columns { name type } } }
}
{ assetNodes { assetKey { path } metadataEntries { ...entry }
  assetMaterializations(limit: 1) { metadataEntries { ...entry } }
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
    status evaluation { success severity } } } } } } }
"""
FAILED = """
query ($id: ID!, $after: String) {
  logsForRun(runId: $id, afterCursor: $after) { ... on EventConnection { cursor hasMore events {
    ... on ExecutionStepFailureEvent { failureMetadata { description } } } } } }
"""
HOLDING = """
import sys
from orchestration.platform.lock import one_refresh_at_a_time
from orchestration.platform.settings import read_settings
with one_refresh_at_a_time(read_settings(), "make refresh"):
    print("held", flush=True)
    sys.stdin.read()
"""
ROW_COUNT, COLUMN_SCHEMA = "dagster/row_count", "dagster/column_schema"


@dataclass(frozen=True)
class Dagster:
    """The server that `make ui` has started."""

    home: Path
    port: int
    mark: str
    process: subprocess.Popen[str]

    def ask(self, query: str, **variables: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def launch(self, job: str, tags: dict[str, str] | None = None, config: Any = None) -> str:
        """Launch a job as the UI does; returns the run's id."""
        parameters = {
            "selector": {**LOCATION, "jobName": job},
            "runConfigData": config or {},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]
            },
        }
        answer = self.ask(LAUNCH, parameters=parameters)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def runs(self) -> dict[str, dict[str, Any]]:
        found = self.ask(RUNS)["runsOrError"]["results"]
        return {run["runId"]: run for run in found}

    def wait_for_run(self, run_id: str, statuses: set[str], seconds: float = RUN_SECONDS) -> str:
        def status() -> str | None:
            found = self.runs()[run_id]["status"]
            return found if found in statuses else None

        return waited_for(status, seconds, lambda: f"{statuses}; runs: {self.runs()}")


def waited_for(look: Callable[[], Any], seconds: float, sought: Callable[[], str]) -> Any:
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"not seen within {seconds} s: {sought()}"
        time.sleep(0.5)
    return found


def settings(home: Path) -> dict[str, str]:
    """Those of a home that reads the delivery beside it."""
    return {
        "JINGXI_HOME": str(home),
        "JINGXI_SOURCE": "files",
        "JINGXI_SOURCE_PATH": str(home.parent / "delivery"),
        "JINGXI_SEED": str(SMALL_BANK["seed"]),
    }


def environment(home: Path, mark: str, **more: str) -> dict[str, str]:
    return {**os.environ, **settings(home), **more, "MARK": mark}


def begun(home: Path, *arguments: str, mark: str = "", **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration", *arguments],
        cwd=PROJECT,
        env=environment(home, mark, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def living(mark: str) -> list[str]:
    """Command lines of the processes with this mark in their environment: children inherit it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@contextmanager
def serving(home: Path, **more: str) -> Iterator[Dagster]:
    """The UI of a home, with further settings, until the block ends."""
    mark, port = uuid.uuid4().hex, free_ports(3)
    process = begun(home, "ui", "--port", str(port), mark=mark, **more)
    try:
        output = []
        for line in process.stdout:
            output.append(line)
            if "stop with Ctrl-C" in line:
                break
        assert any(line.strip().startswith("loaded: ") for line in output), "".join(output)
        yield Dagster(home, port, mark, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def ui(tmp_path_factory, command) -> Iterator[Dagster]:
    home = tmp_path_factory.mktemp("ui") / "home"
    delivery = ("export", str(home.parent / "delivery"), "--format", "csv")
    result = command(home.with_name("exporting"), *delivery, **SMALL_BANK)
    assert result.returncode == 0, result.stderr
    with serving(home) as served:
        yield served


@pytest.fixture(scope="module")
def definitions(ui):
    """The code location as it is read in this process, from what the UI's has prepared."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings(ui.home).items():
            patch.setenv(name, value)
        for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield build_definitions(read_settings())


@pytest.fixture(scope="module")
def refreshed(ui) -> str:
    """The run of a whole refresh launched in the UI; a command is refused meanwhile."""
    run_id = ui.launch(REFRESH, refresh_tags(AS_OF))
    lock = ui.home / "refresh.lock"
    waited_for(
        lambda: lock.exists() and f"run {run_id[:8]}" in lock.read_text() or None,
        LOAD_SECONDS,
        lambda: f"the run's hold on {lock}; runs: {ui.runs()}",
    )
    refused = begun(ui.home, "refresh")
    output, _ = refused.communicate(timeout=60)
    assert refused.returncode == 2, output
    assert f"job {REFRESH}, run {run_id[:8]}" in output
    assert "is changing" in output
    assert ui.wait_for_run(run_id, {"SUCCESS", "FAILURE", "CANCELED"}) == "SUCCESS"
    return run_id


def test_the_code_location_is_loaded_with_all_that_is_defined(ui, definitions):
    (entry,) = ui.ask(WORKSPACE)["workspaceOrError"]["locationEntries"]
    assert (entry["name"], entry["loadStatus"]) == ("jingxi", "LOADED")
    assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
    (repository,) = entry["locationOrLoadError"]["repositories"]
    jobs = {job["name"] for job in repository["jobs"]} - {"__ASSET_JOB"}
    assert jobs == {job.name for job in definitions.jobs}
    assert {"refresh", "train", "promote", "rollback_model", "customer_page"} <= jobs
    schedules = {schedule["name"] for schedule in repository["schedules"]}
    assert schedules == {schedule.name for schedule in definitions.schedules}
    assert schedules == {"monthly_refresh", "quarterly_training", "weekly_retention"}


def test_a_page_of_another_site_launches_nothing_and_reads_nothing(ui):
    """As its form, its image, or its script by a name of its own that resolves to 127.0.0.1."""
    parameters = {"selector": {**LOCATION, "jobName": REFRESH}, "runConfigData": {}}
    content = json.dumps({"query": LAUNCH, "variables": {"parameters": parameters}}).encode()
    query = urllib.parse.urlencode({"query": LAUNCH, "variables": json.dumps(parameters)})
    evil, before = "http://evil.example", ui.runs()
    asked: list[tuple[int, str, bytes | None, dict[str, str]]] = [
        (0, "graphql", content, {"Origin": evil, "Content-Type": "application/json"}),
        (0, "graphql", content, {"Origin": "null", "Content-Type": "text/plain"}),
        (0, f"graphql?{query}", b"", {"Origin": evil}),
        (0, f"graphql?{query}", None, {"Sec-Fetch-Site": "cross-site", "Accept": "image/*"}),
        (0, f"graphql?{query}", None, {}),
        *((door, "", None, {"Host": "evil.example"}) for door in range(3)),
    ]
    for door, path, body, headers in asked:
        address = f"http://127.0.0.1:{ui.port + door}/{path}"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=60)
        assert refused.value.code == 403
        assert refused.value.read().startswith(b"refused: ")
    assert ui.runs() == before


def test_every_asset_has_a_description_owners_and_kinds(ui, definitions):
    nodes = {".".join(node["assetKey"]["path"]): node for node in ui.ask(ASSETS)["assetNodes"]}
    expected = {".".join(spec.key.path) for spec in definitions.resolve_all_asset_specs()}
    assert set(nodes) == expected
    assert {"landing.transaction", "value.account_month", "models.clv", "release.published"} <= set(
        nodes
    )
    incomplete = {
        name: [
            *(word for word in ("description", "owners", "kinds") if not node[word]),
            *([] if node["isExecutable"] else ["a stub"]),
            *(["default"] if node["groupName"] == "default" else []),
        ]
        for name, node in nodes.items()
    }
    assert {name: lacks for name, lacks in incomplete.items() if lacks} == {}
    blocking = {
        check["name"]
        for node in nodes.values()
        for check in node["assetChecksOrError"].get("checks", [])
        if check["blocking"]
    }
    assert set(build_numbers.GATES) <= blocking


def test_a_refresh_launched_in_the_ui_publishes_a_release(ui, refreshed):
    link = ui.home / "published" / "current.duckdb"
    assert link.resolve().name.startswith(AS_OF)
    run = ui.runs()[refreshed]
    assert run["jobName"] == REFRESH
    assert run["repositoryOrigin"]["repositoryLocationName"] == "jingxi"


@pytest.mark.long
def test_an_export_read_as_files_publishes_the_same_tables_in_another_home(
    ui, refreshed, small_bank
):
    """As the bank itself, refreshed by a command."""
    first, *_ = sorted((small_bank / "home" / "published" / "releases").glob("*.duckdb"))
    found = digest_of_tables(ui.home / "published" / "current.duckdb")
    assert found == digest_of_tables(first)


def test_assets_show_rows_columns_and_the_results_of_their_gates(ui, refreshed):
    nodes = {".".join(node["assetKey"]["path"]): node for node in ui.ask(BUILT)["assetNodes"]}
    # Pages, not a table.
    (written,) = nodes.pop("portal.site")["assetMaterializations"]
    assert "portal" in {entry["label"] for entry in written["metadataEntries"]}
    rows, columns, off = {}, {}, set()
    for name, node in nodes.items():
        (event,) = node["assetMaterializations"] or [{"metadataEntries": []}]
        # dbt declares a table's columns before the table is built.
        for entry in (*node["metadataEntries"], *event["metadataEntries"]):
            if entry["label"] == ROW_COUNT:
                rows[name] = entry["intValue"]
            elif entry["label"] == COLUMN_SCHEMA:
                columns[name] = [column["name"] for column in entry["schema"]["columns"]]
            elif entry["label"] == "champion" and entry["text"] == "off":
                off.add(name)
    assert [name for name in nodes if rows.get(name) is None] == []
    # What a model reads is what its champion reads; a bank as small as this has few.
    assert {name for name in nodes if not columns.get(name)} == off < set(nodes)
    assert columns["models.clv"]
    with duckdb.connect(str(ui.home / "published" / "current.duckdb"), read_only=True) as release:
        table = release.table("value.account_month")
        assert rows["value.account_month"] == table.count("*").fetchall()[0][0]
        assert columns["value.account_month"] == table.columns
    found = {
        (name, check["name"]): check["executionForLatestMaterialization"]
        for name, node in nodes.items()
        for check in node["assetChecksOrError"].get("checks", [])
    }
    judged = {key: one for key, one in found.items() if key[1] in build_numbers.GATES}
    assert {gate for _, gate in judged} == set(build_numbers.GATES)
    assert {key for key, one in judged.items() if one is None or one["evaluation"] is None} == set()
    # A gate that lets a refresh pass may warn.
    assert {
        key
        for key, one in judged.items()
        if not one["evaluation"]["success"] and one["evaluation"]["severity"] != "WARN"
    } == set()


def test_a_killed_refresh_blocks_no_later_run(ui, refreshed):
    """The case `killed_run_blocks_the_queue`."""
    before = set(ui.runs())
    refresh = begun(ui.home, "refresh")

    def started() -> str | None:
        new = {key for key, run in ui.runs().items() if run["status"] == "STARTED"} - before
        return new.pop() if new else None

    killed = waited_for(started, LOAD_SECONDS, lambda: "the command's run")
    os.killpg(refresh.pid, signal.SIGKILL)
    refresh.communicate(timeout=60)
    with duckdb.connect(str(ui.home / "published" / "current.duckdb"), read_only=True) as release:
        (customer,) = release.execute("select customer_id from scores.customer limit 1").fetchone()
    page = ui.launch(
        "customer_page",
        config={"ops": {"write_customer_page": {"config": {"customer_id": customer}}}},
    )
    assert ui.wait_for_run(page, {"SUCCESS", "FAILURE", "CANCELED"}) == "SUCCESS"
    assert list((ui.home / "customers").rglob(f"*{customer}*"))
    assert ui.runs()[killed]["status"] == "FAILURE"
    assert ui.runs()[killed]["repositoryOrigin"]["repositoryLocationName"] == "jingxi"


def test_a_job_is_refused_while_a_command_changes_the_home(ui, refreshed):
    served = (ui.home / "published" / "current.duckdb").resolve()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING],
        cwd=PROJECT,
        env=environment(ui.home, ""),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        run_id = ui.launch(REFRESH, refresh_tags(AS_OF))
        assert ui.wait_for_run(run_id, {"SUCCESS", "FAILURE", "CANCELED"}) == "FAILURE"
        holder.communicate("")
    messages: list[str] = []
    after, more = None, True
    while more:
        found = ui.ask(FAILED, id=run_id, after=after)["logsForRun"]
        messages += [event["failureMetadata"]["description"] for event in found["events"] if event]
        after, more = found["cursor"], found["hasMore"]
    assert (
        len(messages) == 1 and messages[0].startswith("refused: ") and "make refresh" in messages[0]
    )
    assert (ui.home / "published" / "current.duckdb").resolve() == served


def test_lineage_leads_from_lists_and_scores_to_the_delivery(ui, refreshed):
    """By table from the declared dependencies, by column from the SQL that ran."""
    read, columns = dict[str, set[str]](), dict[str, set[str]]()
    for node in ui.ask(LINEAGE)["assetNodes"]:
        name = ".".join(node["assetKey"]["path"])
        read[name] = {".".join(key["path"]) for key in node["dependencyKeys"]}
        for materialization in node["assetMaterializations"]:
            for entry in materialization["metadataEntries"]:
                for one in entry.get("lineage", []):
                    columns[f"{name}.{one['columnName']}"] = {
                        ".".join([*dep["assetKey"]["path"], dep["columnName"]])
                        for dep in one["columnDeps"]
                    }
    scores, lists = upstream(read, "scores.customer"), upstream(read, "decisions.worklist")
    assert {"scores.clv", "models.clv", "features.customer_month", "landing.transaction"} <= scores
    assert scores.isdisjoint({"models.uplift", "models.response", "scores.offer"})
    assert {"decisions.contact_plan", "scores.offer", "models.uplift", *scores} <= lists
    assert {name for name in lists if not read[name] and not name.startswith("reference.")} == {
        name for name in lists if name.startswith("landing.")
    }
    assert "scores.clv.clv_12m" in columns["scores.customer.clv_12m"]
    assert "landing.transaction.amount" in upstream(columns, "value.account_month.fee_income")


def upstream(read: Mapping[str, set[str]], name: str) -> set[str]:
    """What is read for it, directly or not."""
    found, todo = set[str](), [name]
    while todo:
        new = read.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


@pytest.mark.skipif(bool(browser_missing()), reason=browser_missing())
def test_a_reader_sees_lineage_and_runs_in_a_browser(ui, refreshed, tmp_path):
    base = f"http://127.0.0.1:{ui.port}"
    with browser(tmp_path, 2000, 1300) as page:
        page.open(f"{base}/asset-groups")
        groups = ("landing", "staging", "base", "value", "features", "models", "scores")
        page.wait_for(
            ["Global asset lineage", *groups, "alerts", "contacts", "decisions", "release"]
        )
        assert "default" not in page.text().split()
        # The graph draws what the window shows.
        page.open(f"{base}/locations/jingxi/asset-groups/models/lineage")
        page.wait_for(["Scikit Learn", "Asset checks"])
        page.wait_for([f"\n{name}\n" for name in LEARNED], least=2)
        page.open(f"{base}/locations/jingxi/asset-groups/models/list")
        page.wait_for(LEARNED)
        page.open(f"{base}/assets/value/account_month")
        page.wait_for(
            [
                "The income, cost and risk of an account in a month",
                "management accounting",
                "economic_profit",
                "DuckDB",
            ]
        )
        page.open(f"{base}/timeline")
        page.wait_for(["Timeline", "jingxi", REFRESH])
        page.open(f"{base}/runs/{refreshed}")
        page.wait_for([refreshed[:8], "Success", "landing_layer", "Succeeded (21)"])


def test_with_the_ui_all_its_processes_and_runs_end(ui, refreshed):
    """A run that was launched in it, too; what was served is served."""
    link = ui.home / "published" / "current.duckdb"
    served = link.resolve()
    run_id = ui.launch(REFRESH, refresh_tags(AS_OF))
    ui.wait_for_run(run_id, {"STARTED"}, LOAD_SECONDS)
    ui.process.send_signal(signal.SIGTERM)
    output, _ = ui.process.communicate(timeout=60)
    assert ui.process.returncode == 0, output
    assert living(ui.mark) == []
    with closing(sqlite3.connect(ui.home / "dagster" / "history" / "runs.db")) as connection:
        query = "select status from runs where run_id = ?"
        # The status by Dagster, where its process still had time, or by this project.
        ((status,),) = connection.execute(query, [run_id]).fetchall()
    assert status in {"FAILURE", "CANCELED"}
    assert link.resolve() == served


def test_dagster_dev_in_the_project_folder_needs_no_arguments(ui, refreshed):
    """Behind the UI: one server at a time is enough for a small machine."""
    mark, port = uuid.uuid4().hex, free_ports(3)
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "dagster"), "dev", "--port", str(port)],
        cwd=PROJECT,
        env={**environment(ui.home, mark), "DAGSTER_HOME": str(ui.home / "dagster")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # Ignored in what a shell without job control runs in the background, tests too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    own = Dagster(ui.home, port, mark, process)

    def entry() -> dict[str, Any] | None:
        assert process.poll() is None, f"dagster dev ended with {process.returncode}"
        with suppress(urllib.error.URLError, ConnectionError):
            for found in own.ask(WORKSPACE)["workspaceOrError"].get("locationEntries", []):
                return found if found["loadStatus"] == "LOADED" else None
        return None

    try:
        location = waited_for(entry, LOAD_SECONDS, lambda: "a loaded code location")
    finally:
        # As a terminal's Ctrl-C; its code server would otherwise wait for a missing heartbeat.
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert location["name"] == "jingxi"
    assert location["locationOrLoadError"]["__typename"] == "RepositoryLocation"


def test_a_read_only_ui_shows_all_and_launches_nothing(ui, refreshed):
    mark, port = uuid.uuid4().hex, free_ports(3)
    process = begun(ui.home, "ui", "--read-only", "--port", str(port), mark=mark)
    try:
        loaded = next(line for line in process.stdout if line.strip().startswith("loaded: "))
        assert " assets, " in loaded
        own = Dagster(ui.home, port, mark, process)
        assert own.runs()[refreshed]["status"] == "SUCCESS"
        parameters = {"selector": {**LOCATION, "jobName": REFRESH}, "runConfigData": {}}
        before = own.runs().keys()
        answer = own.ask(LAUNCH, parameters=parameters)["launchRun"]
        assert answer["__typename"] == "UnauthorizedError"
        assert own.runs().keys() == before
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert living(mark) == []


def test_a_code_location_that_does_not_load_ends_the_ui_with_its_error(tmp_path):
    """An empty page would look like a bank without assets."""
    reference = tmp_path / "reference"
    reference.mkdir()
    (reference / "hurdle_rate.csv").write_text("effective_from,annual_rate\n1900-01-01,ten\n")
    mark = uuid.uuid4().hex
    process = begun(
        tmp_path / "home",
        *("ui", "--port", str(free_ports(3))),
        mark=mark,
        JINGXI_REFERENCE_PATH=str(reference),
        JINGXI_SOURCE_PATH=str(tmp_path),
    )
    output, _ = process.communicate(timeout=LOAD_SECONDS)
    assert process.returncode == 1, output
    assert "the code location does not load: " in output
    assert "hurdle_rate" in output
    assert "loaded: " not in output
    assert living(mark) == []
