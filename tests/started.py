"""Commands in processes of their own, forked from one that has imported the libraries.

A refresh imports Dagster, dbt, Great Expectations, scikit-learn and MLflow for longer than it works
on a small bank. Nothing of the project itself is imported before the fork: each command runs
`orchestration` or dbt anew, with its own environment, folder and outputs.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LIBRARIES = (
    "dagster_dbt",
    "dbt.cli.main",
    "great_expectations",
    "matplotlib.figure",
    "mlflow.sklearn",
    "sklearn.ensemble",
    "skops.io",
)
# Read when a library is imported; `environment.prepare` sets them before that.
AT_IMPORT = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "PASSIVE",
}

TIMEOUT_SECONDS = 900

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(LIBRARIES))


def orchestration(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """`python -m orchestration` with the arguments, as `subprocess.run` returns it."""
    return _run(_orchestration, arguments, folder, environment)


def dbt(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """`dbt` with the arguments, as `subprocess.run` returns it."""
    return _run(_dbt, arguments, folder, environment)


def _run(
    program: Callable[[list[str]], int],
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
) -> subprocess.CompletedProcess[str]:
    before = {name: os.environ.get(name) for name in AT_IMPORT}
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place, name) for name in ("stdout", "stderr")]
        process = _context.Process(
            target=_become,
            args=(program, list(arguments), str(folder), dict(environment), outputs),
        )
        os.environ.update(AT_IMPORT)
        try:
            process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
        process.join(TIMEOUT_SECONDS)
        if process.is_alive():
            # The command kills what it started, or its guard does.
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), TIMEOUT_SECONDS)
        texts = [output.read_text() for output in outputs]
    return subprocess.CompletedProcess(list(arguments), process.exitcode, *texts)


def _become(
    program: Callable[[list[str]], int],
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    outputs: list[Path],
) -> None:
    os.setsid()
    os.umask(0o022)
    for number, output in enumerate(outputs, start=1):
        opened = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    os.chdir(folder)
    try:
        sys.exit(program(arguments))
    finally:
        # As at the end of any Python; multiprocessing leaves it out. dbt closes its warehouse here.
        atexit._run_exitfuncs()


def _orchestration(arguments: list[str]) -> int:
    sys.argv = ["orchestration", *arguments]
    runpy.run_module("orchestration", run_name="__main__", alter_sys=True)
    return 0


def _dbt(arguments: list[str]) -> int:
    from dbt.cli.main import dbtRunner

    result = dbtRunner().invoke(arguments)
    if result.exception:
        print(result.exception, file=sys.stderr)
    return 0 if result.success else 1
