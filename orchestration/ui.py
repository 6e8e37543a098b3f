"""`make ui`: Dagster's UI and daemon, MLflow's UI and the reports, on this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from orchestration.environment import PROJECT
from orchestration.settings import Settings

HOST = "127.0.0.1"
PATIENCE_SECONDS = 15
# The path of a socket may have some hundred bytes only, its own name among them.
LONGEST_SOCKET_FOLDER = 60


def commands(settings: Settings, port: int) -> dict[str, tuple[int, list[str]]]:
    """Name → port and command line of each server."""
    programs = Path(sys.executable).parent
    return {
        "Dagster (lineage, runs, gates)": (
            port,
            [
                *(str(programs / "dagster"), "dev", "--workspace", str(PROJECT / "workspace.yaml")),
                *("--host", HOST, "--port", str(port)),
            ],
        ),
        "MLflow (models, metrics)": (
            port + 1,
            [
                *(str(programs / "mlflow"), "server", "--host", HOST, "--port", str(port + 1)),
                *("--backend-store-uri", settings.mlflow_tracking_uri),
                *("--artifacts-destination", str(settings.mlflow_home / "artifacts")),
                *("--workers", "1"),
            ],
        ),
        "Reports": (
            port + 2,
            [
                *(sys.executable, "-m", "http.server", str(port + 2), "--bind", HOST),
                *("--directory", str(settings.reports)),
            ],
        ),
    }


def taken(port: int) -> bool:
    """Whether a server listens there already."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def serve(settings: Settings, port: int) -> int:
    """Start the servers and stay until interrupted; ends all of them together.

    Raises
    ------
    ValueError
        When one of the ports is taken.
    """
    servers = commands(settings, port)
    busy = [str(number) for number, _ in servers.values() if taken(number)]
    if busy:
        raise ValueError(f"port(s) {', '.join(busy)} are taken; choose others: make ui PORT=4000")
    logs = settings.home / "logs"
    logs.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    own = dict(os.environ)
    if len(os.fsencode(settings.temporary)) > LONGEST_SOCKET_FOLDER:
        # Dagster's processes meet at a socket there, and it holds no data.
        own["TMPDIR"] = "/tmp"
    running: list[subprocess.Popen] = []
    try:
        for name, (number, command) in servers.items():
            log = (logs / f"{name.split()[0].lower()}.log").open("w")
            running.append(
                subprocess.Popen(
                    command,
                    cwd=PROJECT,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=own,
                    start_new_session=True,
                )
            )
            print(f"  {name:<32}http://{HOST}:{number}", flush=True)
        print(f"  logs in {logs}; stop with Ctrl-C", flush=True)
        while all(process.poll() is None for process in running):
            time.sleep(0.5)
        print(f"a server has ended; see {logs}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _end(running)


def _end(running: list[subprocess.Popen]) -> None:
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    deadline = time.monotonic() + PATIENCE_SECONDS
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
