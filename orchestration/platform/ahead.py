"""What a refresh can prepare while it waits for something else: start-up costs, no results.

Everything here is made by whoever needs it, too, if it is not there yet; a failure is left for them
to report, with their own words.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from orchestration.platform.dbt import start_server, stop_server
from orchestration.platform.environment import PROJECT
from orchestration.platform.settings import Settings

# The slow ones of those that gates and models import when they run.
HEAVY = ("great_expectations", "sklearn.ensemble", "matplotlib.figure", "mlflow.sklearn")


_running: list[threading.Thread] = []


def prepare_stores(settings: Settings) -> None:
    """Start dbt, which parses its project, then make MLflow's store, in processes of their own: on
    a fresh home both take as long as the synthetic bank takes to be generated."""

    def work() -> None:
        with suppress(OSError):
            start_server(settings)
        make_model_store(settings)

    _start(work)


def start_dbt(settings: Settings) -> None:
    """Start dbt again for what is built from the scores."""

    def work() -> None:
        with suppress(OSError):
            start_server(settings)

    _start(work)


def make_model_store(settings: Settings) -> None:
    """Make the home's own MLflow store where there is none, whole or not at all.

    MLflow makes its tables one by one, and refuses a store in which some are missing: a refresh
    killed just then could never train again.
    """
    store = settings.mlflow_home / "mlflow.db"
    if store.exists() or settings.mlflow_tracking_uri != settings.own_model_store:
        return
    partial = store.with_name("mlflow.db.partial")
    partial.unlink(missing_ok=True)
    program = (
        "import sys; from ml.registry import Registry; Registry(*sys.argv[1:]).champion('clv')"
    )
    made = subprocess.run(
        [
            *(sys.executable, "-c", program, f"sqlite:///{partial}"),
            str(settings.mlflow_home / "artifacts"),
        ],
        cwd=PROJECT,
        capture_output=True,
    )
    if made.returncode == 0:
        os.replace(partial, store)


def import_heavy_modules() -> None:
    """Import while the engine works: it does not hold Python's lock."""

    def work() -> None:
        for name in HEAVY:
            importlib.import_module(name)

    _start(work)


def finish() -> None:
    """Wait for what is under way: two processes must not make the same store. dbt has done its
    part: its memory is wanted for the models."""
    while _running:
        _running.pop().join()
    stop_server()


def _start(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    _running.append(thread)
