"""What several tests share: the project's place, real data, commands in a home of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from orchestration.platform.environment import DBT_PROJECT
from orchestration.platform.model_store import make_model_store
from orchestration.platform.settings import Settings
from tests import started
from tests.plan_bank import LISTS

PROJECT = Path(__file__).resolve().parent.parent


# A slow machine is no error.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# The order of files; what is made for several is made by the one that comes first.
FIRST = ("tests/acceptance/", "tests/integration/test_contact_plan.py", "tests/unit/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Few wait for what another test process makes: it is made early and mostly read late."""
    items.sort(
        key=lambda item: next(
            (n for n, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST)
        )
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Whole refreshes wait for disks, signals and browsers: one process more than processors."""
    if config.option.markexpr == "not slow":
        return None
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 3) + 1


def real_data(name: str) -> Path:
    """The folder of a real data set, or a skip that names what is missing."""
    folder = Path(os.environ.get("TEST_DATA") or PROJECT.parent / "shared" / "data") / name
    if not folder.is_dir():
        pytest.skip(f"real data not here: {folder} (name its folder in TEST_DATA)")
    return folder


def once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """What `make` writes into a folder, made by one of the test processes for all of them, and for
    later runs where `TEST_SHARED` names a folder of theirs."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = Path(os.environ.get("TEST_SHARED") or base) / f"shared_{name}"
    with FileLock(f"{folder}.lock"):
        if not (folder / ".made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / ".made").touch()
    return folder


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("JINGXI_") or name in {"DAGSTER_HOME", "MLFLOW_TRACKING_URI"}:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `environment.prepare` changes of the process it runs in."""
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())
    mask = os.umask(0o022)
    yield
    os.umask(mask)


@pytest.fixture(scope="session")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an empty MLflow store, to be copied: MLflow takes ten seconds to make one."""

    def make(home: Path) -> None:
        (home / "mlflow" / "artifacts").mkdir(parents=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            make_model_store(Settings(home=home))

    return once(tmp_path_factory, "model_store", make) / "mlflow" / "mlflow.db"


@pytest.fixture(scope="session")
def parsed_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home's folder of the parsed dbt project, to be copied: dbt parses it for ten seconds."""
    program = (
        "from orchestration.definitions import build_definitions\n"
        "from orchestration.platform.settings import read_settings\n"
        "build_definitions(read_settings())\n"
    )

    def make(home: Path) -> None:
        named = {**os.environ, "JINGXI_HOME": str(home)}
        subprocess.run([sys.executable, "-c", program], cwd=PROJECT, env=named, check=True)

    return once(tmp_path_factory, "parsed_project", make) / "dbt"


def _queries(tmp_path_factory: pytest.TempPathFactory, tag: str) -> dict[str, str]:
    """The queries of the dbt models of a tag, by model; their tables have no database."""

    def make(folder: Path) -> None:
        places = {
            **{"project-dir": DBT_PROJECT, "profiles-dir": DBT_PROJECT},
            **{"target-path": folder, "log-path": folder},
        }
        compiled = started.dbt(
            [
                *("--no-use-colors", "compile", "--select", f"tag:{tag}"),
                *(f"--{name}={at}" for name, at in places.items()),
            ],
            folder,
            {**os.environ, "DBT_WAREHOUSE": str(folder / "warehouse.duckdb"), "DO_NOT_TRACK": "1"},
        )
        assert compiled.returncode == 0, compiled.stdout + compiled.stderr

    folder = once(tmp_path_factory, f"{tag}_queries", make)
    models = (folder / "compiled" / "jingxi" / "models").rglob("*.sql")
    return {
        path.stem: path.read_text().replace('"warehouse".', "")
        for path in models
        # A model has a folder of its tests by the name of their file.
        if path.parent.suffix != ".yml"
    }


@pytest.fixture(scope="session")
def list_queries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The queries of dbt's lists by table, in the order in which they are built."""
    found = _queries(tmp_path_factory, "decisions")
    return {name: found[f"decisions_{name}"] for name in LISTS}


@pytest.fixture(scope="session")
def customer_score_queries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The queries of `scores.customer` and of what follows from it, in the order of building."""
    found = _queries(tmp_path_factory, "customer_scores")
    return {
        "scores.customer": found["scores_customer"],
        "alerts.credit": found["alerts_credit"],
    }


@pytest.fixture(scope="session")
def outcome_queries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The queries of `features.offer` and of `outcomes`, by table."""
    found = _queries(tmp_path_factory, "features")
    outcomes = {
        name.replace("_", ".", 1): query
        for name, query in found.items()
        if name.startswith("outcomes_")
    }
    return {"features.offer": found["features_offer"], **outcomes}


def _is_new(home: Path) -> bool:
    return not home.exists() or (os.access(home, os.W_OK) and not (home / "mlflow").exists())


@pytest.fixture(scope="session")
def command(request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m orchestration …` in a process of its own (`tests/started.py`) with the given
    settings.

    A home without a model store is given an empty one and the parsed dbt project, unless it is not
    to be `prepared`. That a refresh makes its own is shown where one is launched in the UI, and by
    `make refresh` in a fresh home.
    """

    def run(
        home: Path,
        *arguments: str,
        tracking_uri: str | None = None,
        prepared: bool = True,
        **settings: object,
    ) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("JINGXI_")
            and name not in {"DAGSTER_HOME", "MLFLOW_TRACKING_URI"}
        }
        named = {f"JINGXI_{name.upper()}": str(value) for name, value in settings.items()}
        mlflow = home / "mlflow"
        if tracking_uri is not None:
            named["MLFLOW_TRACKING_URI"] = tracking_uri
        elif prepared and arguments[0] == "refresh" and _is_new(home):
            mlflow.mkdir(parents=True, exist_ok=True)
            shutil.copy(request.getfixturevalue("model_store"), mlflow / "mlflow.db")
            parsed = request.getfixturevalue("parsed_project")
            shutil.copytree(parsed, home / "dbt", dirs_exist_ok=True)
        environment = {**kept, **named, "JINGXI_HOME": str(home)}
        return started.orchestration(arguments, PROJECT, environment)

    return run
