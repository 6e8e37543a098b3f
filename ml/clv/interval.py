"""Prediction intervals by split conformal prediction on a later period."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

GROUPS = 10
SMALLEST_GROUP = 40


class ConformalInterval(BaseEstimator):
    """Asymmetric intervals, conformal within groups of similar predictions.

    Split conformal prediction (Papadopoulos et al., 2002; Lei et al., 2018) within bins of the
    prediction (Mondrian; Vovk, 2005), since large customers' errors are larger. The residuals come
    from a period after the training period, so that the interval covers changes between periods.

    Parameters
    ----------
    coverage : float
        Nominal share of outcomes inside.

    Attributes
    ----------
    edges_ : array of shape (groups − 1,), prediction at the border of two groups
    below_, above_ : arrays of shape (groups,), distance of the bounds from the prediction
    """

    def __init__(self, coverage: float = 0.9) -> None:
        self.coverage = coverage

    def fit(self, predicted: np.ndarray, y: np.ndarray) -> ConformalInterval:
        """Learn the distances from predictions and outcomes, both of shape (n,).

        Raises
        ------
        ValueError
            For vectors of different length, without a value, or with one that is not finite.
        """
        predicted, y = np.asarray(predicted, dtype=float), np.asarray(y, dtype=float)
        if predicted.ndim != 1 or predicted.shape != y.shape or not len(y):
            raise ValueError(
                "predictions and outcomes are invalid: expected non-empty vectors of one length, "
                f"got {predicted.shape} and {y.shape}"
            )
        if not (np.isfinite(predicted).all() and np.isfinite(y).all()):
            raise ValueError("predictions and outcomes are invalid: expected finite numbers")
        groups = int(max(1, min(GROUPS, len(y) // SMALLEST_GROUP)))
        borders = np.linspace(0, 1, groups + 1)[1:-1]
        # A border is an existing prediction other than the least: ties leave no group empty.
        edges = np.unique(np.quantile(predicted, borders, method="higher"))
        self.edges_ = edges[edges > predicted.min()]
        group = np.searchsorted(self.edges_, predicted, side="right")
        tail = round((1 - self.coverage) / 2, 12)
        below, above = [], []
        for number in range(len(self.edges_) + 1):
            error = np.sort((y - predicted)[group == number])
            size = len(error)
            # The finite-sample ranks of split conformal prediction: one more than the plain ones.
            first = max(int(np.floor((size + 1) * tail)) - 1, 0)
            last = min(int(np.ceil((size + 1) * (1 - tail))) - 1, size - 1)
            below.append(min(error[first], 0.0))
            above.append(max(error[last], 0.0))
        self.below_, self.above_ = np.array(below), np.array(above)
        return self

    def around(self, predicted: np.ndarray) -> np.ndarray:
        """Columns point, low, high around predictions of shape (n,)."""
        check_is_fitted(self)
        group = np.searchsorted(self.edges_, predicted, side="right")
        return np.column_stack(
            [predicted, predicted + self.below_[group], predicted + self.above_[group]]
        )
