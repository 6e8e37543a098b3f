"""The build warehouse and the settings, as every stage gets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
import duckdb

from orchestration.engine import connect
from orchestration.environment import code_version
from orchestration.settings import Settings, read_settings

if TYPE_CHECKING:
    from orchestration.models.context import TrainingContext

# A run's own word on training; without it the setting holds.
TRAIN_TAG = "jingxi/train"
TRAIN_MODES = ("auto", "always", "never")


class Home(dg.ConfigurableResource):
    """The settings of this home and its build warehouse."""

    @property
    def settings(self) -> Settings:
        return read_settings()

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
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
            When the run's tag says of training what no setting may.
        """
        from orchestration.models.context import TrainingContext

        settings = self.settings
        mode = (tags or {}).get(TRAIN_TAG, settings.train)
        if mode not in TRAIN_MODES:
            raise ValueError(f"tag {TRAIN_TAG}={mode}: say {', '.join(TRAIN_MODES)}")
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
        )
