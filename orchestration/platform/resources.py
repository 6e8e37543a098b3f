"""The resource of every stage: the settings and the build warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import dagster as dg
import duckdb
from pydantic import PrivateAttr

from orchestration.platform import identity, run_queue
from orchestration.platform.engine import connect
from orchestration.platform.event_log import kept_open
from orchestration.platform.failures import tried_again
from orchestration.platform.lock import RefreshRunning, one_refresh_at_a_time
from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings, read_settings

Decided = TypeVar("Decided")

# Dagster's pool of the steps that write the build warehouse, which one process opens at a time.
WAREHOUSE_POOL = "warehouse"
# Whether a run trains; overrides the setting.
TRAIN_TAG = "jingxi/train"
# The one model of a command's run.
MODEL_TAG = "jingxi/model"
# The months that a run rebuilds in addition to changed ones: YYYY-MM or YYYY-MM:YYYY-MM.
MONTHS_TAG = "jingxi/months"


class Home(dg.ConfigurableResource):
    """The settings of this home and its build warehouse.

    A run takes the home's lock in the first step that opens the warehouse and holds it until the
    run ends, so that a run of the UI and a command never build in one home at once. With steps in
    other processes the executor holds it (`executors`).
    """

    # The run's name, its id and the lock that it holds; None outside a run.
    _of_run: tuple[str, str | None, ExitStack] | None = PrivateAttr(None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Home]:
        with ExitStack() as held:
            run = context.run
            name = f"job {run.job_name}, run {run.run_id[:8]}" if run else "a run"
            self._of_run = (name, run.run_id if run else None, held)
            person = run_queue.launcher(context.instance, run) if context.instance else None
            if person is not None:
                held.enter_context(identity.acting_for(person))
            if context.instance is not None:
                held.enter_context(kept_open(Path(context.instance.root_directory)))
            yield self

    @property
    def settings(self) -> Settings:
        return read_settings()

    def alone(self, context: dg.OpExecutionContext, act: Callable[[Settings], Decided]) -> Decided:
        """Do what a person decided under the home's lock; a refusal fails the step and gives the
        reason."""
        name = f"job {context.job_name}, run {context.run_id[:8]}"
        try:
            with one_refresh_at_a_time(self.settings, name):
                return act(self.settings)
        except Refused as error:
            raise dg.Failure(f"refused: {error}", allow_retries=False) from error

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the build warehouse, closed at the end.

        Raises
        ------
        dagster.Failure
            In a run, when another process changes this home.
        dagster.RetryRequested
            In a run, when another program has the warehouse open.
        """
        tried = tried_again() if self._of_run is not None else nullcontext()
        if self._of_run is not None:
            name, run_id, held = self._of_run
            try:
                held.enter_context(one_refresh_at_a_time(self.settings, name, run_id))
            except RefreshRunning as error:
                raise dg.Failure(f"refused: {error}", allow_retries=False) from error
        with ExitStack() as opened:
            with tried:
                connection = opened.enter_context(connect(self.settings, self.settings.warehouse))
            yield connection
