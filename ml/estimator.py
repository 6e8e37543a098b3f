"""The contract of all estimators here: scikit-learn's, on frames with named columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin

SHOWN = 5


class ProbabilityClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A classifier of 0 and 1 that defines the probability of 1, `probability(frame)`."""

    classes_: np.ndarray

    @abstractmethod
    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of 1, shape (n,)."""

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Probabilities of 0 and of 1; shape (n, 2)."""
        probability = self.probability(frame)
        return np.column_stack([1 - probability, probability])

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The likelier class, shape (n,): 1 where its probability exceeds one half."""
        more = self.probability(frame) > 0.5
        return self.classes_[more.astype(int)]


def score_of(model: Any, frame: pd.DataFrame) -> np.ndarray:
    """The score of each row, shape (n,): a classifier's probability of 1, else the prediction."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(frame))[:, 1]
    return np.asarray(model.predict(frame))


def check_frame(frame: Any, columns: Collection[str] = ()) -> pd.DataFrame:
    """Check that `frame` is a DataFrame with these columns, and return it.

    Raises
    ------
    ValueError
        Names every column that is missing.
    """
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(
            f"features are invalid: expected a pandas DataFrame with named columns, got "
            f"{type(frame).__name__}"
        )
    missing = [name for name in dict.fromkeys(columns) if name not in frame.columns]
    if missing:
        raise ValueError(f"features are invalid: missing {missing}, which the model was trained on")
    return frame


def check_outcomes(frame: Any, y: Any, columns: Collection[str] = ()) -> np.ndarray:
    """Check the outcomes of the frame's rows and return them: finite numbers, shape (n,), float.

    Raises
    ------
    ValueError
        For no rows, another number of outcomes, or outcomes that are not finite; else as
        `check_frame`.
    """
    check_frame(frame, columns)
    if not len(frame):
        raise ValueError("features are invalid: expected at least one row, got none")
    try:
        values = np.asarray(y, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("outcomes are invalid: expected numbers") from None
    if values.shape != (len(frame),):
        raise ValueError(
            f"outcomes are invalid: expected one for each of {len(frame)} rows, got shape "
            f"{values.shape}"
        )
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise ValueError(
            f"outcomes are invalid: expected finite numbers; {int(wrong.sum())} are not, the first "
            f"in row {int(wrong.argmax())}"
        )
    return values


def check_binary(frame: Any, y: Any, columns: Collection[str] = ()) -> np.ndarray:
    """Outcomes 0 and 1, shape (n,), int; raises ValueError for others, else as `check_outcomes`."""
    values = check_outcomes(frame, y, columns)
    found = np.unique(values)
    if not np.isin(found, (0, 1)).all():
        shown = ", ".join(f"{value:g}" for value in found[:SHOWN])
        more = ", …" if len(found) > SHOWN else ""
        raise ValueError(f"outcomes are invalid: expected 0 and 1, got {shown}{more}")
    return values.astype(int)
