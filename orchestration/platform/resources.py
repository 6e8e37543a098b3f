"""The build warehouse and the settings, as every stage gets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
from pydantic import PrivateAttr

from orchestration.platform.engine import connect
from orchestration.platform.environment import code_version
from orchestration.platform.lock import RefreshRunning, one_refresh_at_a_time
from orchestration.platform.settings import Settings, read_settings

if TYPE_CHECKING:
    from orchestration.models.context import TrainingContext

# A run's own word on training, and the one model that it holds for; without it the setting holds.
TRAIN_TAG, MODEL_TAG = "jingxi/train", "jingxi/model"
# The months that a run is to rebuild whatever changed: YYYY-MM or YYYY-MM:YYYY-MM.
MONTHS_TAG = "jingxi/months"
TRAIN_MODES = ("auto", "always", "never")


class Home(dg.ConfigurableResource):
    """The settings of this home and its build warehouse.

    A run takes the home's lock with the first step that opens the warehouse and keeps it to its
    end, so that a run of the UI and a command never build in one home at once.
    """

    # What a run holds until its end; None outside of a run.
    _of_run: tuple[str, ExitStack] | None = PrivateAttr(None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Home]:
        with ExitStack() as held:
            run = context.run
            name = f"job {run.job_name}, run {run.run_id[:8]}" if run else "a run"
            self._of_run = (name, held)
            yield self

    @property
    def settings(self) -> Settings:
        return read_settings()

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the build warehouse, closed at the end.

        Raises
        ------
        dagster.Failure
            In a run, when another process changes this home.
        """
        if self._of_run is not None:
            name, held = self._of_run
            try:
                held.enter_context(one_refresh_at_a_time(self.settings, name))
            except RefreshRunning as error:
                raise dg.Failure(f"refused: {error}", allow_retries=False) from error
        with connect(self.settings, self.settings.warehouse) as connection:
            yield connection

    def training(
        self,
        connection: duckdb.DuckDBPyConnection,
        run_id: str,
        tags: Mapping[str, str] | None = None,
    ) -> TrainingContext:
        """What the models need to know of this refresh; the run's tags come before the settings.

        Raises
        ------
        ValueError
            When the run's tags say of training what no setting may, or name no model.
        """
        from orchestration.models.assets import SAYS
        from orchestration.models.context import TrainingContext

        settings, tags = self.settings, tags or {}
        mode, only = tags.get(TRAIN_TAG, settings.train), tags.get(MODEL_TAG)
        if mode not in TRAIN_MODES:
            raise ValueError(f"tag {TRAIN_TAG}={mode}: say {', '.join(TRAIN_MODES)}")
        if only is not None and only not in SAYS:
            raise ValueError(f"tag {MODEL_TAG}={only}: say one of {', '.join(SAYS)}")
        (first_month, as_of), (identity,) = (
            connection.execute(query).fetchall()[0]
            for query in (
                "select first_month, as_of from landing.refresh_window",
                "select identity from meta.bank",
            )
        )
        return TrainingContext(
            first_month=first_month,
            as_of=as_of,
            seed=settings.seed,
            mode=mode,
            source=identity,
            tracking_uri=settings.mlflow_tracking_uri,
            artifact_root=str(settings.mlflow_home / "artifacts"),
            run_id=run_id,
            code_version=code_version(),
            promotion=settings.promotion,
            trainer=settings.user,
            only=only,
        )
