"""The project as a package: a wheel, installed where its sources are not."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The `bin` folder of an environment with the wheel and this environment's dependencies."""
    place = tmp_path_factory.mktemp("package")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(place), str(PROJECT)]
    subprocess.run(built, check=True)
    (wheel,) = place.glob("jingxi-*.whl")
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    # A folder named here is searched; the `.pth` files in it, this checkout's among them, are not.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (environment / "bin" / "dbt").symlink_to(Path(sys.executable).parent / "dbt")
    install = [*pip, "--python", str(environment), "install", "--no-deps", str(wheel)]
    subprocess.run(install, check=True)
    return environment / "bin"


def run(installed: Path, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    named = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(installed / command[0]), *command[1:]],
        cwd=home.parent,
        env={**named, "JINGXI_HOME": str(home), "JINGXI_CUSTOMERS": "150"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_console_script_runs_from_the_installed_package(installed, tmp_path):
    where = run(installed, tmp_path / "home", "python", "-c", "import sources as s; print(s)")
    assert str(installed.parent) in where.stdout, where.stderr
    delivery = tmp_path / "delivery"
    written = run(installed, tmp_path / "home", "jingxi", "export", str(delivery))
    assert written.returncode == 0, written.stdout + written.stderr
    judged = run(
        *(installed, tmp_path / "home", "jingxi", "check", str(delivery)),
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_dagster_loads_the_installed_definitions_with_all_that_dbt_builds(installed, tmp_path):
    program = (
        "from orchestration.definitions import build_definitions\n"
        "from orchestration.platform.settings import read_settings\n"
        "definitions = build_definitions(read_settings())\n"
        "keys = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}\n"
        "print('value/account_month' in keys, 'release/published' in keys)\n"
    )
    loaded = run(installed, tmp_path / "home", "python", "-c", program)
    assert loaded.stdout.splitlines()[-1:] == ["True True"], loaded.stdout + loaded.stderr


def test_the_installed_pages_have_their_templates_styles_and_words(installed, tmp_path):
    program = (
        "from reports import render\nprint(render('value.html', {'head': {'month': None}}, 'zh'))\n"
    )
    made = run(installed, tmp_path / "home", "python", "-c", program)
    assert "<h1>价值报告</h1>" in made.stdout and "--accent" in made.stdout, made.stderr
