"""The study of one model: rows and outcomes, learners, rule, measures.

Keep imports light: the code location imports this module through the studies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ml.promotion import Measure


# The feature by whose values models are judged and corrected.
KIND = "customer_kind"


@dataclass(frozen=True)
class Sample:
    """Rows to learn from or to be judged on, oldest first.

    `frame` holds keys and features, `y` of shape (n,) what is judged, `outcome` whatever else came
    after, row by row; `further` what one learner needs beside (its own tables).
    """

    frame: pd.DataFrame
    y: np.ndarray
    outcome: pd.DataFrame
    further: Any = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def features(self) -> pd.DataFrame:
        from orchestration.models.datasets import features_of

        return features_of(self.frame)

    @property
    def customers(self) -> np.ndarray:
        """Customer of each row: a bootstrap draws all rows of a customer together."""
        return self.frame["customer_id"].to_numpy()

    @property
    def kinds(self) -> np.ndarray | None:
        """Kind of customer of each row, as text; None where the features have none."""
        if KIND not in self.frame:
            return None
        return self.frame[KIND].astype(object).fillna("unknown").astype(str).to_numpy(dtype=object)

    @property
    def cutoffs(self) -> np.ndarray:
        """Month of each row, as text."""
        import pandas as pd

        return pd.to_datetime(self.frame["cutoff"]).dt.strftime("%Y-%m").to_numpy()


@dataclass(frozen=True)
class Learner:
    """A way to learn: fits a new estimator on a sample, from a seed."""

    name: str
    fit: Callable[[Sample, int], Any]


@dataclass(frozen=True)
class Split:
    """Training rows known at an origin, and the later rows for the evaluation."""

    train: Sample
    later: Sample


@dataclass(frozen=True)
class Material:
    """The samples of a study: splits of rolling origins, oldest first, the last of which decides;
    the training data of the scoring version; and the features of the customers to score (None where
    these are not one row per customer)."""

    splits: tuple[Split, ...]
    refit: Sample
    scored: pd.DataFrame | None
    parameters: Mapping[str, object] = field(default_factory=dict)

    @property
    def train(self) -> Sample:
        return self.splits[-1].train

    @property
    def later(self) -> Sample:
        return self.splits[-1].later


# Outcome, score and group of each evaluated row: the outcome and the prediction, or their
# substitutes where a model does not predict a figure.
Judged = tuple["np.ndarray", "np.ndarray", "np.ndarray"]


# Twin and rule, fitted before the later sample, and that sample: frames to be logged, by name.
Tables = Callable[[Any, Any, "Sample", int], Mapping[str, "pd.DataFrame"]]


def nothing_further(model: Any, rule: Any, later: Sample, seed: int) -> Mapping[str, pd.DataFrame]:
    return {}


def outcome_and_prediction(model: Any, sample: Sample) -> Judged:
    """The outcome and the prediction, grouped by customer."""
    from ml.estimator import score_of

    return sample.y, score_of(model, sample.features).astype(float), sample.customers


@dataclass(frozen=True)
class Study:
    """One registered model, before anything is fitted.

    `wanted` names what a champion must have been made for to score here; `read` reads the samples
    when they are needed, `newest` the newest cohort whose outcomes
    are complete. `learners` are tried in order: each is the challenger of what won before.
    Sums of the predictions of a study that `feeds_money` are booked or weighed as amounts: their
    level must be shown before promotion.
    `further` makes what is logged of a version besides what every study logs. A study that
    `is_long` is begun first and fitted in a process of its own beside the others: all of it but
    `read` and `newest` must be picklable.
    """

    name: str
    purpose: str
    horizon: int | None
    wanted: Mapping[str, str]
    read: Callable[[], Material]
    newest: Callable[[], Sample]
    learners: Sequence[Learner]
    rule: Learner
    measures: Sequence[Measure]
    deciding: str
    kind: Literal["value", "probability", "label"]
    unit: str
    limits: Sequence[str] = ()
    note: str = ""
    judged: Callable[[Any, Sample], Judged] = outcome_and_prediction
    further: Tables = nothing_further
    is_long: bool = False
    feeds_money: bool = False


@dataclass(frozen=True)
class Off:
    """A model that this bank's records do not allow, and why."""

    name: str
    reason: str
