"""End runs that nothing can return to, with their versions, models and files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from ml.audit import PROMOTIONS
from ml.registry import Registry

RUNNING = ("RUNNING", "SCHEDULED")
RUN_FOLDER = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class EndedRun:
    """A run, the versions registered from it (name, number), and its models."""

    run_id: str
    experiment: str
    versions: tuple[tuple[str, str], ...] = ()
    model_ids: tuple[str, ...] = ()


@dataclass
class _Registered:
    of_run: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)


def runs_to_end(
    registry: Registry, before: datetime, needed: Collection[tuple[str, str]]
) -> list[EndedRun]:
    """The runs that began before a time and stand behind no version that is needed.

    Needed are the versions with an alias (champion, challenger, a person's own), those that a
    rollback may return to, and the given ones, by name and number. Records of promotions are no
    such runs, and a run that is under way is left out. Runs deleted in MLflow's UI are among them.
    """
    from mlflow.entities import ViewType

    client = registry.client
    registered = _registered(registry, set(needed))
    experiments = {
        one.experiment_id: one.name for one in client.search_experiments() if one.name != PROMOTIONS
    }
    found: list[EndedRun] = []
    token: str | None = ""
    while token is not None and experiments:
        page = client.search_runs(
            list(experiments),
            filter_string=f"attributes.start_time < {int(before.timestamp() * 1000)}",
            run_view_type=ViewType.ALL,
            order_by=["attributes.start_time ASC"],
            page_token=token or None,
        )
        for run in page:
            run_id = run.info.run_id
            if run_id in registered.kept or run.info.status in RUNNING:
                continue
            found.append(
                EndedRun(
                    run_id,
                    experiments[run.info.experiment_id],
                    tuple(registered.of_run.get(run_id, ())),
                    tuple(one.model_id for one in run.outputs.model_outputs) if run.outputs else (),
                )
            )
        token = page.token or None
    return found


def end_runs(registry: Registry, runs: Sequence[EndedRun], store: str | None) -> str | None:
    """Delete versions, then models and runs; returns why something is only marked as deleted.

    Parameters
    ----------
    store
        The address of a database that this process may write, from which `mlflow gc` then removes
        metadata and files for good; without one that is for the owner of the server.
    """
    from mlflow.entities import ViewType

    client = registry.client
    for run in runs:
        for name, version in run.versions:
            _is_there(partial(client.delete_model_version, name, version))
        for model_id in run.model_ids:
            _is_there(partial(client.delete_logged_model, model_id))
        if client.get_run(run.run_id).info.lifecycle_stage == "active":
            client.delete_run(run.run_id)
    if not runs:
        return None
    if store is None:
        return "the owner of the model store removes what is marked as deleted with mlflow gc"
    deleted = client.search_experiments(view_type=ViewType.DELETED_ONLY)
    if deleted:
        # `mlflow gc` would remove these for good, the record of promotions among them.
        names = ", ".join(sorted(one.name for one in deleted))
        return (
            f"MLflow has deleted experiments ({names}), which mlflow gc would remove, too: restore "
            "them in MLflow, and run make retain again"
        )
    from mlflow.cli import gc

    for run in runs:
        given = ["--backend-store-uri", store, "--tracking-uri", store, "--run-ids", run.run_id]
        if run.model_ids:
            given += ["--logged-model-ids", ",".join(run.model_ids)]
        with redirect_stdout(io.StringIO()):
            gc.main(given, standalone_mode=False)
    return None


def orphans(registry: Registry, artifacts: Path, before: datetime) -> list[Path]:
    """Folders of runs and models that the store no longer has, not changed since a time: a process
    was killed between the two."""
    registered = {
        str(version.source).removeprefix("models:/")
        for version in registry.client.search_model_versions()
    }
    found = []
    for path in (*artifacts.glob("*/*"), *artifacts.glob("*/models/m-*")):
        if path.name in registered or path.stat().st_mtime >= before.timestamp():
            continue
        if RUN_FOLDER.fullmatch(path.name):
            known = _is_there(partial(registry.client.get_run, path.name))
        elif path.name.startswith("m-"):
            known = _is_there(partial(registry.client.get_logged_model, path.name))
        else:
            continue
        if not known:
            found.append(path)
    return found


def _is_there(read: Callable[[], object]) -> bool:
    """Whether the store has what is read or deleted: an interrupted run may have deleted it."""
    from mlflow.exceptions import MlflowException

    try:
        read()
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def _registered(registry: Registry, needed: set[tuple[str, str]]) -> _Registered:
    """The versions of each run, and the runs behind needed versions."""
    found = _Registered()
    for name in registry.models():
        aliased = set(registry.client.get_registered_model(name).aliases.values())
        kept = {str(one) for one in aliased} | set(registry.past_champions(name))
        for version in registry.versions(name):
            found.of_run.setdefault(version.run_id, []).append((name, version.version))
            if version.version in kept or (name, version.version) in needed:
                found.kept.add(version.run_id)
    return found
