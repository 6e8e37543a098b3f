"""The files of deploy/ agree with the parts that they start, and keep secrets where they belong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from orchestration.operations import server
from orchestration.operations.gateway import HOST
from orchestration.operations.server import MLFLOW_PATH, PARTS, PORT
from orchestration.platform.run_queue import SignedInRunCoordinator
from orchestration.platform.settings import Settings
from orchestration.platform.sign_in import SECRET_HEADER, USER_HEADER
from tests.conftest import PROJECT

DEPLOY = PROJECT / "deploy"
UNITS = DEPLOY / "systemd"
HOLDERS = {"gateway", "webserver"}


def lines_of(name: str) -> dict[str, str]:
    """The variables of an environment file."""
    named = re.findall(r'^([A-Z_0-9]+)="(.*)"$', (DEPLOY / name).read_text(), re.MULTILINE)
    return dict(named)


@pytest.fixture(scope="module")
def services() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


def test_compose_has_every_part_and_publishes_the_proxy_alone(services):
    assert set(services) == {*PARTS, "nginx", "database"}
    assert {name for name, one in services.items() if "ports" in one} == {"nginx"}
    for part in PARTS:
        made = services[part]
        assert made["command"] == [part] and made["network_mode"] == "service:nginx"
        assert made["read_only"] and made["cap_drop"] == ["ALL"]
        assert bool(made["environment"]["JINGXI_PROXY_SECRET"]) == (part in HOLDERS)
    for one in services.values():
        for volume in one.get("volumes", []):
            place = volume.partition(":")[0]
            known = place in ("home", "database", "./delivery", "./tls", "./htpasswd")
            assert known or (DEPLOY / place).is_file(), volume


def test_systemd_starts_every_part_and_gives_the_secret_to_two():
    wanted = re.findall(r"jingxi@(\w+)\.service", (UNITS / "jingxi.target").read_text())
    assert sorted(wanted) == sorted(PARTS)
    holders = {path.parent.name for path in UNITS.glob("*/secret.conf")}
    assert holders == {f"jingxi@{part}.service.d" for part in HOLDERS}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path):
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    unit = tmp_path / "jingxi@.service"
    own = unit.read_text().replace("/opt/jingxi/.venv/bin/python", sys.executable)
    unit.write_text(own)
    named = [str(tmp_path / f"jingxi@{part}.service") for part in PARTS]
    for name in named:
        shutil.copy(unit, name)
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *named, str(tmp_path / "jingxi.target")],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    ours = [line for line in result.stderr.splitlines() if "jingxi" in line]
    assert not ours, result.stderr


def test_nginx_passes_to_the_ports_of_the_gateway():
    site = (DEPLOY / "nginx.conf").read_text()
    running = "\n".join(line for line in site.splitlines() if not line.lstrip().startswith("#"))
    places = re.findall(r"location (/\S*) \{.*?proxy_pass http://([^/;]+)", running, re.DOTALL)
    doors = [f"{HOST}:{port}" for port in server.doors(PORT)]
    assert dict(places) == dict(zip(("/", f"{MLFLOW_PATH}/", "/reports/"), doors, strict=True))
    for header in ("Authorization", "Cookie", "Origin"):
        assert re.search(rf'proxy_set_header {header}\s+"";', running), header
    assert USER_HEADER in running.lower()
    assert SECRET_HEADER in (DEPLOY / "proxy_secret.conf.template").read_text().lower()


def test_the_example_of_settings_is_accepted_and_holds_no_secret(monkeypatch):
    named = lines_of(".env.example")
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.proxy_secret is None and settings.artifact_root == "mlflow-artifacts:/models"
    assert settings.mlflow_tracking_uri == f"http://{HOST}:{PORT + server.MODELS}{MLFLOW_PATH}"
    assert settings.dagster_home.is_relative_to(settings.home)
    assert not re.search(r"://[^/@]*:[^/@<]+@", " ".join(named.values()))


def test_dagster_is_configured_with_the_queue_that_records_who_launched():
    configuration = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    coordinator = configuration["run_coordinator"]
    assert coordinator == {
        "module": SignedInRunCoordinator.__module__,
        "class": SignedInRunCoordinator.__name__,
    }
    assert configuration["concurrency"]["runs"]["max_concurrent_runs"] == 1
    variable = configuration["storage"]["postgres"]["postgres_url"]["env"]
    assert variable in lines_of(".env.example")
