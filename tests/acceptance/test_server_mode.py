"""Server mode with real PostgreSQL and nginx: sign-in, roles, the queue, what is in the databases.

One home for all tests of this file, which run in their order.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from ml.base_rate import ColumnRate
from ml.registry import LEARNER, Candidate, Registry
from orchestration.operations.jobs import refresh_tags
from orchestration.operations.server import MLFLOW_PATH, MODELS, PARTS, WEBSERVER
from orchestration.platform import audit
from orchestration.platform.files import write_whole
from orchestration.platform.identity import operating_system_user
from orchestration.platform.run_queue import USER_TAG
from orchestration.platform.runs import REFRESH
from orchestration.platform.settings import Settings
from tests.acceptance.test_ui import LAUNCH, LOCATION, WORKSPACE, waited_for
from tests.conftest import PROJECT
from tests.ports import free_ports
from tests.started import orchestration

DEPLOY = PROJECT / "deploy"
SECRET, PASSWORDS = "s" * 40, {"ines": "pass-of-ines", "mei": "pass-of-mei", "nobody": "pass"}
# A bank too young for the models: its refresh takes half a minute.
BANK = {"CUSTOMERS": "150", "SEED": "7", "AS_OF": "2023-09"}
# A refused launch is a run that failed, without the name of a person.
STATUSES = "select status, count(*) from runs where status <> 'FAILURE' group by 1"
AGE = "select max(abs(extract(epoch from now() at time zone 'UTC' - update_timestamp))) from runs"
CHAMPIONS = "select name, version from registered_model_aliases where alias = 'champion'"
START_SECONDS, RUN_SECONDS, END_SECONDS = 300, 600, 8
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PROGRAMS = {
    name: shutil.which(
        name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, POSTGRES)])
    )
    for name in ("initdb", "postgres", "nginx", "openssl")
}


def missing() -> str:
    """What is not here of a server's programs; empty where all are."""
    names = [name for name, path in PROGRAMS.items() if path is None]
    return f"no {', '.join(names)} here; on Debian: apt install postgresql nginx" if names else ""


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]


@dataclass(frozen=True)
class Server:
    """A running server: its home, the address of nginx, the first port of the parts."""

    home: Path
    address: str
    certificate: Path
    port: int
    variables: dict[str, str]
    database: int

    def ask(
        self, method: str, path: str, user: str | None = None, **more: Any
    ) -> requests.Response:
        """A request to nginx, signed in as a user."""
        return requests.request(
            method,
            self.address + path,
            auth=(user, PASSWORDS[user]) if user else None,
            verify=str(self.certificate),
            timeout=60,
            allow_redirects=False,
            **more,
        )

    def query(self, user: str, query: str, **variables: Any) -> requests.Response:
        return self.ask("POST", "/graphql", user, json={"query": query, "variables": variables})

    def launch(self, user: str, **tags: str) -> requests.Response:
        return self.query(user, LAUNCH, parameters=launched(**tags))

    def rows(self, database: str, query: str) -> list[tuple[Any, ...]]:
        import psycopg2

        with closing(psycopg2.connect(self.url(database))) as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return cursor.fetchall()

    def url(self, database: str) -> str:
        return f"postgresql://jingxi:{SECRET}@127.0.0.1:{self.database}/{database}"

    def driven(self, database: str) -> str:
        return self.url(database).replace("postgresql", "postgresql+psycopg2", 1)

    def trail(self) -> list[tuple[str, str, str, str]]:
        found = audit.entries(Settings(home=self.home))
        return [(one.user_name, one.act, one.subject, one.outcome) for one in found]


def launched(**tags: str) -> dict[str, Any]:
    """The parameters of the launch of a refresh."""
    named = {**refresh_tags(BANK["AS_OF"]), **tags}
    return {
        "selector": {**LOCATION, "jobName": REFRESH},
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": key, "value": named[key]} for key in named]},
    }


@contextmanager
def started(name: str, log: Path, *command: str, **more: Any) -> Iterator[subprocess.Popen]:
    """A program with all that it starts, until the end of the block."""
    with (log / f"{name}.log").open("w") as words:
        process = subprocess.Popen(
            command, stdout=words, stderr=subprocess.STDOUT, start_new_session=True, **more
        )
        try:
            yield process
        finally:
            ask_to_end(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=END_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)


def ask_to_end(*processes: subprocess.Popen) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


def listens(port: int) -> Callable[[], bool | None]:
    def look() -> bool | None:
        with socket.socket() as probe:
            return True if probe.connect_ex(("127.0.0.1", port)) == 0 else None

    return look


@contextmanager
def database(log: Path, port: int) -> Iterator[None]:
    """A cluster with the databases of deploy/databases.sql, in another zone than UTC."""
    import psycopg2

    # PostgreSQL does not run as root, and its account reaches a folder of /tmp alone.
    folder = Path(tempfile.mkdtemp(prefix="jingxi_pg_", dir="/tmp"))
    account = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
    try:
        write_whole(folder / "password", SECRET)
        if account:
            for path in (folder, folder / "password"):
                shutil.chown(path, **account)
        command = [
            *(str(PROGRAMS["initdb"]), "--pgdata", str(folder / "data"), "--no-sync"),
            *("--username", "jingxi", "--auth", "scram-sha-256", "--encoding", "UTF8"),
            *("--locale", "C", "--pwfile", str(folder / "password")),
        ]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **account)
        options = {
            **{"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder},
            **{"fsync": "off", "timezone": "Asia/Shanghai"},
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        server = [str(PROGRAMS["postgres"]), "-D", str(folder / "data"), *settings]
        with started("postgres", log, *server, cwd="/", **account):
            waited_for(listens(port), 30, lambda: (log / "postgres.log").read_text())
            url = f"postgresql://jingxi:{SECRET}@127.0.0.1:{port}/postgres"
            with closing(psycopg2.connect(url)) as connection:
                connection.autocommit = True
                for statement in re.findall("create .*;", (DEPLOY / "databases.sql").read_text()):
                    connection.cursor().execute(statement)
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def certified(folder: Path) -> Path:
    """A certificate of localhost, signed by itself, with its key beside it."""
    certificate = folder / "fullchain.pem"
    command = [
        *(str(PROGRAMS["openssl"]), "req", "-x509", "-newkey", "ec"),
        *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", str(folder / "privkey.pem"), "-out", str(certificate)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def configured(folder: Path, port: int, https: int) -> Path:
    """The configuration of deploy/, with the places and ports of this test."""
    digests = [
        subprocess.check_output([str(PROGRAMS["openssl"]), "passwd", "-6", password], text=True)
        for password in PASSWORDS.values()
    ]
    lines = [f"{name}:{digest}" for name, digest in zip(PASSWORDS, digests, strict=True)]
    (folder / "htpasswd").write_text("".join(lines))
    secret = (DEPLOY / "proxy_secret.conf.template").read_text()
    (folder / "proxy_secret.conf").write_text(secret.replace("${JINGXI_PROXY_SECRET}", SECRET))
    site = (DEPLOY / "nginx.conf").read_text()
    site = site.replace("jingxi.bank.example", "localhost")
    site = site.replace("/etc/jingxi/tls/", f"{folder}/").replace("/etc/jingxi/", f"{folder}/")
    site = site.replace("listen 443", f"listen 127.0.0.1:{https}")
    site = site.replace("listen 80", f"listen 127.0.0.1:{https + 1}")
    site = re.sub(r"127\.0\.0\.1:300(\d)", lambda found: f"127.0.0.1:{port + int(found[1])}", site)
    (folder / "jingxi.conf").write_text(site)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"{'user root;' if os.getuid() == 0 else ''}\ndaemon off;\npid {folder}/nginx.pid;\n"
        "error_log stderr;\nevents {}\n"
        f"http {{\naccess_log off;\n{temporary}include {folder}/jingxi.conf;\n}}\n"
    )
    return main


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("server")
    # The path of a socket is short.
    place = Path(tempfile.mkdtemp(prefix="jingxi_", dir="/tmp"))
    home, port = place / "home", free_ports(18)
    https = port + 15
    certificate = certified(log)
    address = f"https://localhost:{https}"
    (home / "dagster").mkdir(parents=True)
    shutil.copy(DEPLOY / "dagster.yaml", home / "dagster")
    people = {
        **{"ines": {"roles": ["data engineer"]}, "mei": {"roles": ["stakeholder"]}},
        operating_system_user(): {"roles": ["data engineer"]},
    }
    write_whole(home / "roles.yml", json.dumps({"people": people}))
    named = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JINGXI_", "MLFLOW_", "DAGSTER_"))
    }
    made = Server(home, address, certificate, port, named, port + 17)
    named |= {f"JINGXI_{name}": value for name, value in BANK.items()}
    named |= {
        "JINGXI_HOME": str(home),
        "JINGXI_PROXY_SECRET": SECRET,
        "JINGXI_ARTIFACTS": "mlflow-artifacts:/models",
        "DAGSTER_POSTGRES_URL": made.driven("dagster"),
        "MLFLOW_BACKEND_STORE_URI": made.driven("mlflow"),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port + MODELS}{MLFLOW_PATH}",
    }
    nginx = [str(PROGRAMS["nginx"]), "-p", str(log), "-e", "stderr"]
    nginx += ["-c", str(configured(log, port, https))]
    subprocess.run([*nginx, "-t"], check=True)
    with ExitStack() as running:
        running.callback(shutil.rmtree, place, ignore_errors=True)
        running.enter_context(database(log, made.database))
        parts = [
            running.enter_context(
                started(
                    *(part, log, sys.executable, "-m", "orchestration.operations.server", part),
                    *("--port", str(port)),
                    **{"cwd": PROJECT, "env": named},
                )
            )
            for part in PARTS
        ]
        running.enter_context(started("nginx", log, *nginx))
        # All at once; the code location does not end by itself.
        running.callback(ask_to_end, *parts)

        def loaded() -> bool | None:
            assert all(part.poll() is None for part in parts), words()
            with suppress(requests.RequestException, KeyError, ValueError, TypeError, IndexError):
                found = made.query("ines", WORKSPACE).json()["data"]["workspaceOrError"]
                entries = found["locationEntries"]
                models = made.ask("GET", "/mlflow/", "ines").status_code
                if models == 200 and entries[0]["locationOrLoadError"]["repositories"]:
                    return True
            return None

        def words() -> str:
            return "\n".join(
                f"{path.name}\n{path.read_text()[-2000:]}" for path in log.glob("*.log")
            )

        waited_for(loaded, START_SECONDS, words)
        yield made


@pytest.mark.parametrize("path", ["/", "/graphql", "/mlflow/", "/reports/", "/runs?x=1"])
def test_nobody_sees_anything_without_a_sign_in(server, path):
    assert server.ask("GET", path).status_code == 401
    wrong = requests.get(
        server.address + path, auth=("ines", "wrong"), verify=str(server.certificate), timeout=60
    )
    assert wrong.status_code == 401


def test_who_signed_in_and_has_a_role_sees_all_pages(server):
    for user in ("ines", "mei"):
        assert "Dagster" in server.ask("GET", "/", user).text
        assert "MLflow" in server.ask("GET", "/mlflow/", user).text
        assert server.ask("GET", "/reports/", user).status_code == 200
        found = server.ask(
            *("POST", "/mlflow/ajax-api/2.0/mlflow/runs/search", user), json={"experiment_ids": []}
        )
        assert found.status_code == 200, found.text
    refused = server.ask("GET", "/", "nobody")
    assert refused.status_code == 403 and "not named in a roles file" in refused.text
    plain = server.address.replace("https", "http").replace(
        str(server.port + 15), str(server.port + 16)
    )
    moved = requests.get(plain, timeout=60, allow_redirects=False)
    assert moved.status_code == 301 and moved.headers["Location"].startswith("https://localhost/")


def test_a_stakeholder_launches_and_changes_nothing(server):
    assert "data" in server.query("mei", WORKSPACE).json()
    permissions = "{ permissions { permission value } }"
    allowed = server.query("mei", permissions).json()["data"]["permissions"]
    assert {one["value"] for one in allowed} == {False}
    assert server.launch("mei").status_code == 403
    forged = {"X-Forwarded-User": "ines", "X-Jingxi-Proxy": SECRET}
    body = {"query": LAUNCH, "variables": {"parameters": launched()}}
    answer = server.ask("POST", "/graphql", "mei", json=body, headers=forged)
    assert answer.status_code == 403 and "role data engineer" in answer.text
    assert server.trail().count(("mei", "ui_launch", "Dagster: launchRun", "refused")) == 2
    assert server.rows("dagster", "select count(*) from runs") == [(0,)]


def test_a_request_of_another_site_is_refused(server):
    for origin in ("https://evil.example", server.address.replace("https", "http"), "null"):
        answer = server.ask("GET", "/", "ines", headers={"Origin": origin})
        assert answer.status_code == 403, origin
    assert server.ask("GET", "/", "ines", headers={"Origin": server.address}).status_code == 200


def test_without_the_proxys_secret_a_name_is_worth_nothing(server):
    """Also for who reaches the ports of this machine."""
    body = {"query": LAUNCH, "variables": {"parameters": launched()}}
    for secret in ({}, {"X-Jingxi-Proxy": "guessed"}):
        headers = {"X-Forwarded-User": "ines", **secret}
        door = f"http://127.0.0.1:{server.port}"
        answer = requests.post(f"{door}/graphql", json=body, headers=headers, timeout=60)
        assert answer.status_code == 403 and "does not come from the proxy" in answer.text
        behind = f"http://127.0.0.1:{server.port + WEBSERVER}/graphql"
        words = requests.post(behind, json=body, headers=headers, timeout=60).text
        assert "does not come from the proxy" in words and "LaunchRunSuccess" not in words
    assert server.rows("dagster", STATUSES) == []


def test_the_engineers_run_waits_runs_and_acts_in_the_engineers_name(server):
    answer = server.launch("ines", **{USER_TAG: "somebody else"}).json()["data"]["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    run = answer["run"]["runId"]

    def ended() -> str | None:
        ((status,),) = server.rows("dagster", f"select status from runs where run_id = '{run}'")
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    assert waited_for(ended, RUN_SECONDS, lambda: "the end of the run") == "SUCCESS"
    found = server.rows(
        "dagster", f"select distinct dagster_event_type from event_logs where run_id = '{run}'"
    )
    assert {"PIPELINE_ENQUEUED", "PIPELINE_STARTING", "PIPELINE_SUCCESS"} <= {
        one for (one,) in found
    }
    tags = dict(server.rows("dagster", f"select key, value from run_tags where run_id = '{run}'"))
    assert tags[USER_TAG] == "ines"
    trail = server.trail()
    assert ("ines", "ui_launch", "Dagster: launchRun", "done") in trail
    (published,) = [one for one in trail if one[1] == "publish"]
    assert published[0] == "ines" and published[3] == "done"
    ((seconds,),) = server.rows("dagster", AGE)
    assert seconds < 3600
    # Everything is in the databases.
    assert not list((server.home / "dagster").rglob("*.db")) + list(server.home.rglob("mlflow.db"))
    # The front page leads to the portal of the release.
    release = published[2]
    assert f"url={release}/index.html" in server.ask("GET", "/reports/", "mei").text
    today = server.ask("GET", f"/reports/{release}/en/index.html", "mei")
    assert today.status_code == 200 and "To do now" in today.text


def test_a_command_uses_the_same_databases(server):
    result = orchestration(["train"], PROJECT, server.variables)
    assert result.returncode == 0, result.stdout + result.stderr
    assert server.rows("dagster", STATUSES) == [("SUCCESS", 2)]
    result = orchestration(["audit"], PROJECT, server.variables)
    assert result.returncode == 2 and "role auditor is required" in result.stderr


def test_a_model_is_registered_in_the_database_and_loaded(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.variables["MLFLOW_TRACKING_URI"])
    frame = pd.DataFrame({"age": [20.0, 30.0, 40.0]})
    model = ColumnRate("age").fit(frame, pd.Series([1.0, 0.0, 1.0]))
    registry = Registry(server.variables["MLFLOW_TRACKING_URI"], "mlflow-artifacts:/models")
    candidate = Candidate("offer", model, model, LEARNER, {}, {}, {}, frame)
    version = registry.register(candidate)
    registry.promote(version, by="ana", reason="the only one there is")
    loaded = registry.load_champion("offer")
    assert list(loaded.predict(frame)) == list(model.predict(frame))
    found = server.rows("mlflow", "select name, version from model_versions")
    assert found == [("offer", 1)]
    assert list((server.home / "mlflow" / "artifacts" / "models" / "offer").rglob("*.skops"))


def test_nobody_changes_a_model_in_mlflows_pages(server):
    path = "/mlflow/ajax-api/2.0/mlflow/registered-models/alias"
    alias = {"name": "offer", "alias": "champion"}
    answer = server.ask("DELETE", path, "ines", json=alias)
    assert answer.status_code == 403 and "pages are for looking" in answer.text
    path = "/ajax-api/2.0/mlflow/registered-models/alias"
    assert ("ines", "ui_change", f"MLflow: DELETE /mlflow{path}", "refused") in server.trail()
    assert server.rows("mlflow", CHAMPIONS) == [("offer", 1)]
