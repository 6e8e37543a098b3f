"""`make ui`: Dagster's UI and daemon, MLflow's UI and the reports, on this machine only.

Browsers reach them through `gateway`, which refuses requests of other sites.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orchestration
from orchestration.operations import gateway
from orchestration.operations.gateway import HOST
from orchestration.platform.addresses import MLFLOW_PORT, REPORTS_PORT
from orchestration.platform.environment import PROJECT
from orchestration.platform.settings import Settings

# The path of a socket may have about a hundred bytes, including the file's name.
LONGEST_SOCKET_FOLDER = 60
# A first load parses the dbt project, which takes some ten seconds on an idle machine.
LOAD_SECONDS = 300
POLL_SECONDS = 0.5
STALE_SECONDS = 10
# The servers' time to end after SIGTERM.
PATIENCE_SECONDS = 15
# A run of the UI takes the lock shortly after it is STARTED.
SETTLED = timedelta(minutes=1)

LOCATIONS = """
{ workspaceOrError {
    ... on PythonError { message causes { message } }
    ... on Workspace { locationEntries { loadStatus locationOrLoadError {
      ... on PythonError { message causes { message } }
      ... on RepositoryLocation { repositories {
        assetNodes { id } jobs { name } schedules { name } } } } } }
} }
"""


class UnloadedLocation(Exception):
    """The Dagster UI runs, but the code location does not load."""


def workspace() -> Path:
    """The workspace file of the checkout, or of the installed package."""
    own = PROJECT / "workspace.yaml"
    return own if own.exists() else Path(orchestration.__path__[0]) / "workspace.yaml"


@dataclass(frozen=True)
class Server:
    """A server: the port that browsers open, and what listens behind it."""

    name: str
    port: int
    behind: tuple[str, int]
    command: list[str]


def servers_of(settings: Settings, port: int, *, read_only: bool = False) -> list[Server]:
    """Dagster, MLflow and the reports, whose pages know the others by their ports; `read_only`
    Dagster without daemon and launches, and the reports."""
    programs = Path(sys.executable).parent

    def server(name: str, number: int, *command: str) -> Server:
        host, behind = gateway.own_address()
        place = {"host": host, "port": str(behind)}
        return Server(name, number, (host, behind), [part.format(**place) for part in command])

    listening = ("--host", "{host}", "--port", "{port}")
    reports = server(
        *("Reports", port + REPORTS_PORT),
        *(sys.executable, "-m", "http.server", "{port}", "--bind", "{host}"),
        *("--directory", _literal(settings.reports)),
    )
    location = ("--workspace", _literal(workspace()), *listening)
    if read_only:
        webserver = (_literal(programs / "dagster-webserver"), "--read-only")
        return [server("Dagster (read-only)", port, *webserver, *location), reports]
    return [
        server(
            *("Dagster (lineage, runs, gates)", port),
            *(_literal(programs / "dagster"), "dev", *location),
        ),
        server(
            *("MLflow (models, metrics)", port + MLFLOW_PORT),
            *(_literal(programs / "mlflow"), "server", *listening),
            *("--backend-store-uri", _literal(settings.mlflow_tracking_uri)),
            *("--artifacts-destination", _literal(settings.mlflow_home / "artifacts")),
            *("--workers", "1"),
        ),
        reports,
    ]


def _literal(text: object) -> str:
    return str(text).replace("{", "{{").replace("}", "}}")


def taken(port: int) -> bool:
    """Whether a server listens there already."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def loaded(port: int) -> str | None:
    """A description of what the webserver has loaded; None while it is still loading.

    Raises
    ------
    UnloadedLocation
        With the innermost reason, where the code location does not load.
    """
    request = urllib.request.Request(
        f"http://{HOST}:{port}/graphql",
        json.dumps({"query": LOCATIONS}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=LOAD_SECONDS) as answer:
            workspace = json.load(answer)["data"]["workspaceOrError"]
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None
    if "message" in workspace:
        raise UnloadedLocation(_innermost(workspace))
    entries = workspace["locationEntries"]
    if not entries or any(entry["loadStatus"] == "LOADING" for entry in entries):
        return None
    assets = jobs = schedules = 0
    for entry in entries:
        location = entry["locationOrLoadError"]
        if location is None or "message" in location:
            raise UnloadedLocation(_innermost(location or {"message": "no reason was given"}))
        for repository in location["repositories"]:
            assets += len(repository["assetNodes"])
            # Leave out Dagster's implicit job for assets launched from the lineage.
            jobs += sum(not job["name"].startswith("__") for job in repository["jobs"])
            schedules += len(repository["schedules"])
    return f"{assets} assets, {jobs} jobs, {schedules} schedules"


def _innermost(error: dict) -> str:
    return (error.get("causes") or [error])[-1]["message"].strip()


def serve(settings: Settings, port: int, *, read_only: bool = False) -> int:
    """Start the servers, wait for the code location, and stay while all servers run.

    Call it under `supervise`, which ends the servers and all processes they started.

    Raises
    ------
    ValueError
        When one of the ports is taken.
    """
    servers = servers_of(settings, port, read_only=read_only)
    busy = [str(server.port) for server in servers if taken(server.port)]
    if busy:
        raise ValueError(f"port(s) {', '.join(busy)} are in use. Choose others: make ui PORT=4000.")
    close_stale_runs(settings)
    logs = settings.home / "logs"
    logs.mkdir(exist_ok=True)
    own = dict(os.environ)
    # What leads from assets and notices to pages leads to these servers.
    own.setdefault("JINGXI_UI_URL", f"http://{HOST}:{port}")
    if len(os.fsencode(settings.temporary)) > LONGEST_SOCKET_FOLDER:
        # Dagster's processes share a socket there, which holds no data.
        own["TMPDIR"] = "/tmp"
    running: list[subprocess.Popen] = []
    try:
        doors = gateway.command([(server.port, server.behind) for server in servers])
        started = {server.name: server.command for server in servers}
        for name, command in {**started, "Gateway": doors}.items():
            kind = "read_only_" if read_only else ""
            log = (logs / f"{kind}{name.split()[0].lower()}.log").open("w")
            running.append(
                subprocess.Popen(
                    command,
                    cwd=PROJECT,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=own,
                )
            )
        print("  Dagster is loading the code location ...", flush=True)
        print(f"  loaded: {_wait_for_location(port, running)}", flush=True)
        for server in servers:
            print(f"  {server.name:<32}http://{HOST}:{server.port}", flush=True)
        print(f"  logs in {logs}; stop with Ctrl-C", flush=True)
        looked = time.monotonic()
        while all(process.poll() is None for process in running):
            time.sleep(POLL_SECONDS)
            if time.monotonic() - looked > STALE_SECONDS:
                looked = time.monotonic()
                close_stale_runs(settings, SETTLED)
        print(f"a server has ended; see {logs}", file=sys.stderr)
        return 1
    except UnloadedLocation as error:
        print(f"the code location does not load: {error}", file=sys.stderr)
        print(f"  the whole stack trace is in {logs / 'dagster.log'}", file=sys.stderr)
        return 1


def _wait_for_location(port: int, running: Sequence[subprocess.Popen]) -> str:
    deadline = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in running):
            raise UnloadedLocation("a server has ended")
        found = loaded(port)
        if found is not None:
            return found
        time.sleep(POLL_SECONDS)
    raise UnloadedLocation(f"Dagster has not answered for {LOAD_SECONDS} s")


def close_stale_runs(settings: Settings, unchanged_for: timedelta = timedelta()) -> None:
    """Close the runs whose process has gone, and print them."""
    from dagster import DagsterInstance

    from orchestration.platform import runs

    with DagsterInstance.get() as instance:
        for line in runs.close_stale_runs(settings, instance, unchanged_for):
            print(f"  {line}", flush=True)
