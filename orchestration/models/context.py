"""The settings of the current refresh for training and scoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import duckdb

from ml.registry import Registry
from orchestration.platform.environment import code_version
from orchestration.platform.identity import who
from orchestration.platform.resources import TRAIN_TAG
from orchestration.platform.settings import Settings

TRAIN_MODES = ("auto", "always", "never")


@dataclass(frozen=True)
class TrainingContext:
    """One refresh, as the models see it. `as_of` is the last day seen."""

    first_month: date
    as_of: date
    seed: int
    mode: str
    source: str
    tracking_uri: str
    artifact_root: str
    run_id: str
    code_version: str
    promotion: str
    trainer: str

    @property
    def as_of_month(self) -> date:
        return self.as_of.replace(day=1)

    def registry(self) -> Registry:
        return Registry(self.tracking_uri, self.artifact_root)


def training_context(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    tags: Mapping[str, str] | None = None,
) -> TrainingContext:
    """The settings of this refresh for the models; the run's tags override the settings.

    Raises
    ------
    ValueError
        When the run's tag names no training mode.
    """
    mode = (tags or {}).get(TRAIN_TAG, settings.train)
    if mode not in TRAIN_MODES:
        raise ValueError(
            f"tag {TRAIN_TAG}={mode} is invalid: expected one of {', '.join(TRAIN_MODES)}"
        )
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
        artifact_root=settings.artifact_root,
        run_id=run_id,
        code_version=code_version(),
        promotion=settings.promotion,
        trainer=who(settings).name,
    )
