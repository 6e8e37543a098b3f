"""The simple rule that a model of purchases must beat."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ml.clv.likelihood import customer_vectors


class AsManyAgain(BaseEstimator):
    """Each customer's past rate of purchases continues.

    Customers with T = 0 have the mean rate of all.

    Attributes
    ----------
    rate_ : float, repeat purchases per time of all customers together
    """

    def fit(self, frequency: np.ndarray, recency: np.ndarray, T: np.ndarray) -> AsManyAgain:
        """Learn the mean rate; arguments and errors as of `BetaGeoModel.fit`."""
        frequency, recency, T = customer_vectors(frequency=frequency, recency=recency, T=T)
        if not T.sum() > 0:
            raise ValueError("T is invalid: expected a customer with T above 0")
        self.rate_ = float(frequency.sum() / T.sum())
        return self

    def expected_purchases(
        self, t: float, frequency: np.ndarray, recency: np.ndarray, T: np.ndarray
    ) -> np.ndarray:
        """Expected number of purchases in the time t after T, shape (n,)."""
        check_is_fitted(self)
        frequency, recency, T = customer_vectors(frequency=frequency, recency=recency, T=T)
        observed = np.where(T > 0, T, 1)
        return t * np.where(T > 0, frequency / observed, self.rate_)
