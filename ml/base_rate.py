"""The simple rule of a probability: the past rate of similar rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ml.estimator import ProbabilityClassifier, check_binary, check_frame


class ColumnRate(ProbabilityClassifier):
    """The rate of the event by class of one column.

    Classes lie between given edges, or have about equal counts. Rates are shrunk towards the
    overall rate with the weight of `prior` rows, so that a small class does not have rate 0 or 1; a
    class without rows has the overall rate. A missing value is a class of its own.

    Parameters
    ----------
    column : str
    edges : sequence of floats or None
        Where a class begins; None for `classes` of about equal count.
    """

    def __init__(
        self,
        column: str,
        edges: Sequence[float] | None = None,
        classes: int = 10,
        prior: float = 20.0,
    ) -> None:
        self.column = column
        self.edges = edges
        self.classes = classes
        self.prior = prior

    def fit(self, frame: pd.DataFrame, event: np.ndarray) -> ColumnRate:
        """Fit on the column and whether the event happened, array of shape (n,).

        Raises
        ------
        ValueError
            When lengths differ, there are no rows, an event is not 0 or 1, or the column is
            missing.
        """
        event = check_binary(frame, event, [self.column])
        self.columns_ = [self.column]
        self.classes_ = np.array([0, 1])
        values = self._values(frame)
        if self.edges is None:
            places = np.linspace(0, 1, self.classes + 1)[1:-1]
            known = values[~np.isnan(values)]
            self.edges_ = np.unique(np.quantile(known, places)) if len(known) else np.array([])
        else:
            self.edges_ = np.asarray(self.edges, dtype=float)
        number = self._class(values)
        size = len(self.edges_) + 2
        rows = np.bincount(number, minlength=size)
        events = np.bincount(number, weights=event, minlength=size)
        self.rate_ = float(event.mean())
        self.rates_ = (events + self.prior * self.rate_) / (rows + self.prior)
        return self

    def _values(self, frame: pd.DataFrame) -> np.ndarray:
        return pd.to_numeric(frame[self.column]).to_numpy(dtype=float, na_value=np.nan)

    def _class(self, values: np.ndarray) -> np.ndarray:
        number = np.searchsorted(self.edges_, values, side="right")
        number[np.isnan(values)] = len(self.edges_) + 1
        return number

    def probability(self, frame: pd.DataFrame) -> np.ndarray:
        """Probability of the event, shape (n,)."""
        check_is_fitted(self)
        check_frame(frame, [self.column])
        return self.rates_[self._class(self._values(frame))]

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """Log-odds of the class's rate less those of all; shape (n, 1), and the column."""
        rate = np.clip(np.append(self.probability(frame), self.rate_), 1e-9, 1 - 1e-9)
        odds = np.log(rate / (1 - rate))
        return (odds[:-1] - odds[-1])[:, None], self.columns_
