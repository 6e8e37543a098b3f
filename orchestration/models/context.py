"""What training and scoring need to know of the refresh they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import duckdb

from ml.registry import Registry
from orchestration.models.assets import DESCRIPTIONS
from orchestration.platform.environment import code_version
from orchestration.platform.resources import MODEL_TAG, TRAIN_TAG
from orchestration.platform.settings import Settings

TRAIN_MODES = ("auto", "always", "never")


@dataclass(frozen=True)
class TrainingContext:
    """One refresh, as the models see it. `as_of` is the last day seen.

    `mode` is that of the model named in `only`, of every model where none is named.
    """

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
    only: str | None = None

    @property
    def as_of_month(self) -> date:
        return self.as_of.replace(day=1)

    def mode_of(self, model: str) -> str:
        """Whether a model is to be trained: `auto`, `always` or `never`."""
        return self.mode if self.only in (None, model) else "auto"

    def registry(self) -> Registry:
        return Registry(self.tracking_uri, self.artifact_root)


def training_context(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    tags: Mapping[str, str] | None = None,
) -> TrainingContext:
    """What the models need to know of this refresh; the run's tags override the settings.

    Raises
    ------
    ValueError
        When a tag of the run names no training mode or no model.
    """
    tags = tags or {}
    mode, only = tags.get(TRAIN_TAG, settings.train), tags.get(MODEL_TAG)
    if mode not in TRAIN_MODES:
        raise ValueError(_expected(TRAIN_TAG, mode, TRAIN_MODES))
    if only is not None and only not in DESCRIPTIONS:
        raise ValueError(_expected(MODEL_TAG, only, DESCRIPTIONS))
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


def _expected(tag: str, value: str, values: Iterable[str]) -> str:
    return f"tag {tag}={value} is invalid: expected one of {', '.join(values)}"
