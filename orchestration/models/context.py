"""What training and scoring need to know of the refresh they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ml.registry import Registry


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
