"""What executes the steps of a run (`JINGXI_EXECUTOR`): one process, one process a step, Kubernetes
or Celery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from importlib.metadata import version
from typing import Any

import dagster as dg
import yaml  # type: ignore[import-untyped]

from orchestration.platform.lock import RefreshRunning, admitting, one_refresh_at_a_time
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import IN_PROCESS, Settings, read_settings

# Those that need a package beside the locked ones: the package, its module, the executor in it.
PACKAGED = {
    "k8s": ("dagster-k8s", "dagster_k8s", "k8s_job_executor"),
    "celery": ("dagster-celery", "dagster_celery", "celery_executor"),
    "celery_k8s": ("dagster-celery-k8s", "dagster_celery_k8s", "celery_k8s_job_executor"),
}
# Steps are forked from a process that has imported these: started anew, each imports for seconds.
PRELOADED = [
    *("orchestration.platform.step_output", "orchestration.definitions"),
    *("great_expectations", "mlflow.sklearn", "skops.io"),
]


class ExecutorRefused(Refused):
    """The executor is not installed, or its configuration is invalid."""


def executor_of(settings: Settings) -> dg.ExecutorDefinition:
    """The executor of jobs over assets.

    Jobs of one op run in the process of their run, which nothing could be spread from.

    Raises
    ------
    ExecutorRefused
        Where it is not installed, or `JINGXI_EXECUTOR_CONFIG` is no file of its options.
    """
    if settings.executor == IN_PROCESS:
        return dg.in_process_executor
    options = _options(settings)
    if settings.executor == "multiprocess":
        base = dg.multiprocess_executor
        options = {"start_method": {"forkserver": {"preload_modules": PRELOADED}}, **options}
    else:
        base = _packaged(settings.executor)
    return _holding_the_lock(base).configured(options, name=base.name)


def _packaged(name: str) -> dg.ExecutorDefinition:
    package, module, attribute = PACKAGED[name]
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        # Dagster's integrations share one version.
        raise ExecutorRefused(
            f"EXECUTOR (JINGXI_EXECUTOR) is invalid: {name} needs {package}, which is not "
            f"installed ({error.name} is missing). Run .venv/bin/pip install "
            f"{package}=={version('dagster-dbt')}, or set EXECUTOR={IN_PROCESS}."
        ) from error


def _options(settings: Settings) -> dict[str, Any]:
    path = settings.executor_config
    if path is None:
        return {}
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not YAML"
        raise ExecutorRefused(_invalid(settings, str(reason))) from error
    if not isinstance(options, dict):
        raise ExecutorRefused(_invalid(settings, f"it holds {options!r}"))
    return options


def _invalid(settings: Settings, reason: str) -> str:
    return (
        f"EXECUTOR_CONFIG (JINGXI_EXECUTOR_CONFIG) is invalid: {settings.executor_config}: "
        f"{reason}. Expected a YAML file of options of Dagster's executor {settings.executor}."
    )


def _holding_the_lock(base: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """The executor, whose run holds the home's lock from its first step to its last.

    A step in another process cannot: it would release the lock before the next one takes it.
    """

    def create(context: dg.InitExecutorContext) -> dg.Executor:
        executor = base.executor_creation_fn(context)  # type: ignore[misc]
        steps = executor.execute

        def execute(plan_context: Any, plan: Any) -> Iterator[dg.DagsterEvent]:
            settings, run = read_settings(), plan_context.dagster_run
            with ExitStack() as held:
                try:
                    name = f"job {run.job_name}, run {run.run_id[:8]}"
                    held.enter_context(one_refresh_at_a_time(settings, name))
                except RefreshRunning as error:
                    raise dg.Failure(f"refused: {error}", allow_retries=False) from error
                held.enter_context(admitting(settings, run.run_id))
                yield from steps(plan_context, plan)

        # Not a class around it: Celery's loop reads attributes of its own executor.
        executor.execute = execute  # type: ignore[method-assign]
        return executor

    return dg.ExecutorDefinition(
        name=base.name,
        config_schema=base.config_schema,  # type: ignore[arg-type]
        requirements=base.get_requirements,
        executor_creation_fn=create,
        description=base.description,
    )
