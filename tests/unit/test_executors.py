"""The executor that the settings name, and the lock that its run holds for its steps."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orchestration.platform.environment import DAGSTER_YAML
from orchestration.platform.executors import PACKAGED, ExecutorRefused, executor_of
from orchestration.platform.lock import RefreshRunning, admitting, one_refresh_at_a_time
from orchestration.platform.settings import Settings
from tests.conftest import PROJECT

# Takes the lock for a run, if it may, and waits for its standard input to close.
STEP = """
import sys
from orchestration.platform.lock import one_refresh_at_a_time
from orchestration.platform.settings import read_settings

with one_refresh_at_a_time(read_settings(), "a step", sys.argv[1]):
    print("entered", flush=True)
    sys.stdin.read()
"""


def test_steps_run_in_the_process_of_their_run_unless_another_executor_is_chosen(tmp_path):
    assert executor_of(Settings(home=tmp_path)) is dg.in_process_executor
    assert executor_of(Settings(home=tmp_path, executor="multiprocess")).name == "multiprocess"


@pytest.mark.parametrize("name", PACKAGED)
def test_an_executor_that_is_not_installed_is_refused_with_the_package_to_install(name, tmp_path):
    package, module, _ = PACKAGED[name]
    if importlib.util.find_spec(module):
        pytest.skip(f"{package} is installed here")
    with pytest.raises(ExecutorRefused) as refused:
        executor_of(Settings(home=tmp_path, executor=name))
    # Dagster 1.N has integrations 0.(N + 16), one version for all.
    minor, patch = map(int, re.fullmatch(r"1\.(\d+)\.(\d+)", version("dagster")).groups())
    assert f"pip install {package}==0.{minor + 16}.{patch}" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "No such file"), ("a: [", "not YAML"), ("4", "holds 4"), ("\0", "not YAML")],
)
def test_options_that_cannot_be_read_are_refused_with_their_file(text, reason, tmp_path):
    path = tmp_path / "executor.yaml"
    if text is not None:
        path.write_text(text)
    settings = Settings(home=tmp_path, executor="multiprocess", executor_config=path)
    with pytest.raises(ExecutorRefused, match=f"(?s){path}.*{reason}.*Expected a YAML file"):
        executor_of(settings)


def test_an_option_that_dagsters_executor_does_not_have_is_refused_before_a_run(tmp_path):
    path = tmp_path / "executor.yaml"

    def checked(options: str) -> None:
        path.write_text(options)
        settings = Settings(home=tmp_path, executor="multiprocess", executor_config=path)

        @dg.job(executor_def=executor_of(settings))
        def empty():
            pass

        dg.validate_run_config(empty)

    checked("max_concurrent: 3\n")
    with pytest.raises(dg.DagsterInvalidConfigError, match="max_concurent"):
        checked("max_concurent: 3\n")


def test_one_step_at_a_time_writes_the_warehouse_by_both_configurations_of_dagster():
    server = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    for configuration in (server, yaml.safe_load(DAGSTER_YAML)):
        named = ("concurrency", "run_monitoring")
        overrides = {name: configuration[name] for name in named}
        with dg.instance_for_test(overrides=overrides) as instance:
            pools = instance.get_concurrency_config().pool_config
            assert pools.default_pool_limit == 1
            assert pools.pool_granularity.value == "op"
            assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] > 0


def step(home: Path, run_id: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STEP, run_id],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "JINGXI_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_lock_of_a_run_admits_its_steps_and_nobody_else(tmp_path):
    settings = Settings(home=tmp_path)
    with one_refresh_at_a_time(settings, "make refresh"), admitting(settings, "run 1"):
        with step(tmp_path, "run 1") as own:
            assert own.stdout.readline() == "entered\n"
            own.communicate("", timeout=60)
        with step(tmp_path, "run 2") as other:
            _, error = other.communicate("", timeout=60)
        assert RefreshRunning.__name__ in error and "make refresh (process" in error
        assert "run 1" not in error
    with one_refresh_at_a_time(settings), step(tmp_path, "run 1") as late:
        _, error = late.communicate("", timeout=60)
        assert RefreshRunning.__name__ in error


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends a process with its parent")
def test_a_step_ends_with_the_process_that_holds_the_lock_for_it(tmp_path):
    """Otherwise it would write the warehouse of the next refresh."""
    holder = f"""
import subprocess, sys
from orchestration.platform.lock import admitting, one_refresh_at_a_time
from orchestration.platform.settings import read_settings

settings = read_settings()
with one_refresh_at_a_time(settings), admitting(settings, "run 1"):
    step = subprocess.Popen([sys.executable, "-c", {STEP!r}, "run 1"], stdin=subprocess.PIPE)
    print(step.pid, flush=True)
    step.wait()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "JINGXI_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert int(process.stdout.readline()) and process.stdout.readline() == "entered\n"
        process.send_signal(signal.SIGKILL)
        # The pipe ends when the step, too, has ended.
        assert process.stdout.read() == ""
    with one_refresh_at_a_time(Settings(home=tmp_path)):
        pass
