"""`python -m orchestration.operations.server PART`: a part of server mode, in the foreground.

`deploy/` starts each part as a service. All listen on 127.0.0.1 or a socket of the home; nginx
stands in front of the gateway.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from orchestration.operations import access, gateway, ui
from orchestration.operations.access import Door
from orchestration.operations.gateway import HOST
from orchestration.platform.addresses import MLFLOW_PATH
from orchestration.platform.environment import PROJECT, prepare
from orchestration.platform.files import write_whole
from orchestration.platform.identity import roles_file
from orchestration.platform.refusal import Refused
from orchestration.platform.run_queue import SignedInRunCoordinator
from orchestration.platform.runs import LOCATION
from orchestration.platform.settings import Settings, read_settings
from orchestration.platform.supervision import supervise

PARTS = ("code", "webserver", "reader", "daemon", "mlflow", "reports", "gateway")
PORT = 3000
# Of the gateway, from `PORT` on.
DAGSTER, MLFLOW, REPORTS = 0, 1, 2
# Of what is behind it.
WEBSERVER, READER, MODELS, PAGES = 10, 11, 12, 13
# The path of a socket may have 107 bytes.
LONGEST_SOCKET = 107
STORE = "MLFLOW_BACKEND_STORE_URI"
SECRET = "JINGXI_PROXY_SECRET"


class ServerRefused(Refused):
    """A setting that server mode needs is missing or invalid."""


def code_socket(settings: Settings) -> Path:
    """The socket of the code location, which only the home's account can open.

    Raises
    ------
    ServerRefused
        Where its path is too long.
    """
    path = settings.operations / "code.sock"
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET:
        raise ServerRefused(
            f"HOME (JINGXI_HOME) is invalid: {path} has {length} bytes, expected at most "
            f"{LONGEST_SOCKET} for a socket. Choose a folder with a shorter path."
        )
    return path


def workspace(settings: Settings) -> Path:
    """The workspace file of the webservers and the daemon, which names the socket."""
    place = {"socket": str(code_socket(settings)), "location_name": LOCATION}
    path = settings.operations / "workspace.yaml"
    write_whole(path, yaml.safe_dump({"load_from": [{"grpc_server": place}]}))
    return path


def commands(settings: Settings, port: int) -> dict[str, Callable[[], list[str]]]:
    """The parts that are programs of others, with their command lines; no secret stands in one."""
    programs = Path(sys.executable).parent

    def listening(number: int) -> list[str]:
        return ["--host", HOST, "--port", str(port + number)]

    def webserver(number: int, *options: str) -> list[str]:
        place = ("--workspace", str(workspace(settings)))
        return [str(programs / "dagster-webserver"), *listening(number), *place, *options]

    return {
        "code": lambda: [
            *(str(programs / "dagster"), "api", "grpc", "--socket", str(code_socket(settings))),
            *("--module-name", "orchestration.definitions", "--location-name", LOCATION),
        ],
        "webserver": lambda: webserver(WEBSERVER),
        "reader": lambda: webserver(READER, "--read-only"),
        "daemon": lambda: [
            *(str(programs / "dagster-daemon"), "run", "--workspace", str(workspace(settings))),
        ],
        "mlflow": lambda: [
            *(str(programs / "mlflow"), "server", *listening(MODELS)),
            *("--static-prefix", MLFLOW_PATH, "--workers", "1"),
        ],
        "reports": lambda: [
            *(sys.executable, "-m", "http.server", str(port + PAGES), "--bind", HOST),
            *("--directory", str(settings.reports)),
        ],
    }


def doors(port: int) -> dict[int, Door]:
    """The ports of the gateway, and what is behind each."""
    behind = {number: (HOST, port + number) for number in (WEBSERVER, READER, MODELS, PAGES)}
    return {
        port + DAGSTER: Door(access.DAGSTER, behind[WEBSERVER], behind[READER]),
        port + MLFLOW: Door(access.MLFLOW, behind[MODELS], behind[MODELS]),
        port + REPORTS: Door(access.REPORTS, behind[PAGES], behind[PAGES]),
    }


def check(settings: Settings, part: str) -> None:
    """
    Raises
    ------
    ServerRefused
        Where the part would run without what protects it.
    """
    if part in ("gateway", "webserver") and settings.proxy_secret is None:
        raise ServerRefused(f"{SECRET} is missing: expected the secret that nginx sends. Set it.")
    if part == "gateway" and roles_file(settings) is None:
        raise ServerRefused(
            f"{settings.own_roles} is missing: server mode needs to know who may do what. Copy "
            "deploy/roles.yml there, and put the bank's own people in."
        )
    configuration = settings.dagster_home / "dagster.yaml"
    queue = SignedInRunCoordinator.__name__
    if part in ("code", "webserver", "daemon") and not (
        configuration.exists() and queue in configuration.read_text()
    ):
        raise ServerRefused(
            f"{configuration} is invalid: expected {queue} as its run coordinator, which records "
            "who launched a run. Copy deploy/dagster.yaml there."
        )
    if part == "mlflow" and not os.environ.get(STORE):
        raise ServerRefused(f"{STORE} is missing: expected the address of MLflow's database.")


def run(settings: Settings, part: str, port: int) -> int:
    """Become the part; returns the status of one that stays in this process."""
    check(settings, part)
    prepare(settings)
    settings.operations.mkdir(exist_ok=True)
    if part == "gateway":
        ports = doors(port)
        listening = [(number, door.behind) for number, door in ports.items()]
        asyncio.run(gateway.serve(listening, access.RoleAccess(settings, ports)))
        return 0
    command = commands(settings, port)[part]()
    if part != "webserver":
        # Whoever has it launches runs for people who signed in.
        os.environ.pop(SECRET, None)
    if part == "mlflow":
        own = str(settings.mlflow_home / "artifacts")
        os.environ.setdefault("MLFLOW_ARTIFACTS_DESTINATION", own)
    os.chdir(PROJECT)
    if part == "daemon":
        return supervise(lambda: watch(settings, command), ui.PATIENCE_SECONDS).status
    if part == "code":
        # Left by one that was killed.
        code_socket(settings).unlink(missing_ok=True)
    os.execv(command[0], command)


def watch(settings: Settings, command: list[str]) -> int:
    """The daemon, and the closing of runs whose process has gone, which it does not notice."""
    with subprocess.Popen(command) as daemon:
        while True:
            try:
                return daemon.wait(ui.STALE_SECONDS)
            except subprocess.TimeoutExpired:
                ui.close_stale_runs(settings, ui.SETTLED)


def main() -> int:
    parser = ArgumentParser(prog="python -m orchestration.operations.server")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--port", type=int, default=PORT, help="first of 14 ports")
    given = parser.parse_args()
    try:
        return run(read_settings(), given.part, given.port)
    except (Refused, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
