"""Customer lifetime value over a fixed horizon: a two-part learner, and the rule it must beat."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted

from ml.clv.interval import ConformalInterval
from ml.encoding import MOST_BINS, Binner, FrameEncoder, with_values
from ml.estimator import check_frame, check_outcomes
from ml.measures import ANCHORS, LAST_PERIOD, PACE
from ml.tree_paths import path_contributions

# Increase it when this code can no longer read stored models: champions are then trained again.
FORMAT = "5"


class LastPeriodAgain(RegressorMixin, BaseEstimator):
    """The simple rule: the next period has the contribution of the last.

    Parameters
    ----------
    horizon : int
        Months of a period, for `predict_months` only.
    """

    def __init__(self, horizon: int = 12) -> None:
        self.horizon = horizon

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> LastPeriodAgain:
        """Learn the median only; `calibrate` sets the intervals.

        Raises
        ------
        ValueError
            When lengths differ, an outcome is not finite, or the column of the last period is
            missing.
        """
        check_outcomes(frame, y, [LAST_PERIOD])
        self.columns_ = [LAST_PERIOD]
        self.median_ = float(np.median(frame[LAST_PERIOD].to_numpy(dtype=float)))
        return self

    def calibrate(self, frame: pd.DataFrame, y: np.ndarray) -> LastPeriodAgain:
        """Set the intervals from a later period's outcomes."""
        self.interval_ = ConformalInterval().fit(self.predict(frame), y)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Contribution of the coming period, shape (n,), in the currency of the outcome."""
        check_is_fitted(self)
        check_frame(frame, [LAST_PERIOD])
        return frame[LAST_PERIOD].to_numpy(dtype=float)

    def predict_months(self, frame: pd.DataFrame, months: int) -> np.ndarray:
        """The same contribution in each further period, shape (n,), without attrition."""
        return self.predict(frame) * months / self.horizon

    def predict_interval(self, frame: pd.DataFrame) -> np.ndarray:
        """Columns point, low, high; shape (n, 3); raises NotFittedError before `calibrate`."""
        check_is_fitted(self, "interval_")
        return self.interval_.around(self.predict(frame))

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """The last period less its training median, shape (n, 1), and its name."""
        return self.predict(frame)[:, None] - self.median_, [LAST_PERIOD]


class TwoPartRegressor(RegressorMixin, BaseEstimator):
    """P(the contribution is not 0) × E[the contribution, given that it is not 0].

    The two-part model of semicontinuous outcomes (Duan et al., 1983; for customer value, Vanderveld
    et al., 2016) on histogram gradient boosting. The second part learns the *change* against the
    customer's own pace, as a share of the customer's size, weighted by that size: margins are
    heavy-tailed, so that a squared error in money would fit only the few largest customers, and one
    in logarithms would not add up to the bank's total.

    Parameters
    ----------
    seed : int
    trees, leaves, least_leaf, rate, penalty
        Of both parts.
    horizon, annual_discount_rate
        Months of the outcomes and their discount rate, for `predict_months` only.
    """

    def __init__(
        self,
        seed: int = 0,
        trees: int = 60,
        leaves: int = 15,
        least_leaf: int = 60,
        rate: float = 0.1,
        penalty: float = 5.0,
        horizon: int = 12,
        annual_discount_rate: float = 0.0,
    ) -> None:
        self.horizon = horizon
        self.annual_discount_rate = annual_discount_rate
        self.seed = seed
        self.trees = trees
        self.leaves = leaves
        self.least_leaf = least_leaf
        self.rate = rate
        self.penalty = penalty

    def _settings(self) -> dict[str, object]:
        return {
            "max_iter": self.trees,
            "max_leaf_nodes": self.leaves,
            "min_samples_leaf": self.least_leaf,
            "learning_rate": self.rate,
            "l2_regularization": self.penalty,
            "max_bins": MOST_BINS,
            "early_stopping": False,
            "random_state": self.seed,
        }

    def fit(self, frame: pd.DataFrame, y: np.ndarray) -> TwoPartRegressor:
        """Learn from features at past cut-offs and the contribution after them.

        Parameters
        ----------
        frame : frame of shape (n, features), with the two anchors
        y : array of shape (n,), contribution over the horizon; 0 for none

        Raises
        ------
        ValueError
            When all outcomes are 0, lengths differ, an outcome is not finite, or an anchor is
            missing.
        """
        y = check_outcomes(frame, y, ANCHORS)
        stays = y != 0
        if not stays.any():
            raise ValueError(
                "outcomes are invalid: expected a contribution other than 0 after the cut-offs"
            )
        self.encoder_ = FrameEncoder().fit(frame)
        self.columns_ = self.encoder_.columns_
        matrix = self.encoder_.transform(frame)
        self.binner_ = Binner().fit(matrix)
        matrix = self.binner_.transform(matrix)
        settings = self._settings()
        self.stays_ = None
        if not stays.all():
            self.stays_ = HistGradientBoostingClassifier(**settings).fit(with_values(matrix), stays)
        anchor = frame[PACE].to_numpy(dtype=float)
        self.median_pace_ = float(np.median(anchor))
        self.floor_ = float(np.median(np.abs(y[stays])) or 1.0)
        size = np.abs(anchor) + self.floor_
        change = (y - anchor) / size
        # Clip a thousandth at each end: single windfalls carry no information.
        low, high = np.quantile(change[stays], [0.001, 0.999])
        self.change_ = HistGradientBoostingRegressor(**settings).fit(
            with_values(matrix[stays]), np.clip(change[stays], low, high), sample_weight=size[stays]
        )
        return self

    def calibrate(self, frame: pd.DataFrame, y: np.ndarray) -> TwoPartRegressor:
        """Set the intervals from a later period's outcomes."""
        self.interval_ = ConformalInterval().fit(self.predict(frame), y)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Expected contribution over the horizon, shape (n,)."""
        check_is_fitted(self)
        check_frame(frame, [*self.columns_, PACE])
        matrix = self.binner_.transform(self.encoder_.transform(frame))
        anchor = frame[PACE].to_numpy(dtype=float)
        margin = anchor + (np.abs(anchor) + self.floor_) * self.change_.predict(matrix)
        if self.stays_ is None:
            return margin
        return self.stays_.predict_proba(matrix)[:, 1] * margin

    def predict_months(self, frame: pd.DataFrame, months: int) -> np.ndarray:
        """Expected contribution over several horizons, shape (n,).

        Beyond the first nothing was observed: each further horizon has the contribution of the one
        before, for those who stay, whose share is the first part's. If the training outcomes are
        discounted, further ones are, too, by `annual_discount_rate`.
        """
        first = self.predict(frame)
        matrix = self.binner_.transform(self.encoder_.transform(frame))
        stays = 1.0 if self.stays_ is None else self.stays_.predict_proba(matrix)[:, 1]
        kept = stays * (1 + self.annual_discount_rate) ** (-self.horizon / 12)
        total, weight = np.zeros(len(first)), np.ones(len(first))
        for begun in range(0, months, self.horizon):
            total += first * weight * min(1.0, (months - begun) / self.horizon)
            weight = weight * kept
        return total

    def predict_interval(self, frame: pd.DataFrame) -> np.ndarray:
        """Columns point, low, high; shape (n, 3); raises NotFittedError before `calibrate`."""
        check_is_fitted(self, "interval_")
        return self.interval_.around(self.predict(frame))

    def contributions(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        """What each feature adds to the expected contribution, in money, and the features' names.

        The prediction is P(stays) × margin, the margin the customer's pace plus its size × the
        change. A product is not a sum: to first order about the prediction itself, feature j adds

            P × size × (its paths in the change) + margin × P (1 − P) × (its paths in the log-odds
            of staying),

        and the pace, besides, P × (the pace less its training median). Paths are those of
        `path_contributions`. The size is taken as it is, its own dependence on the pace left out.
        Exact if everybody stays (P = 1): the contributions then add up to the prediction less
        median pace + size × the mean change. Otherwise the remainder grows with the distance of P
        from the share of the training customers that stay: the contributions rank reasons, they do
        not decompose the money.

        Returns
        -------
        contributions : array of shape (n, len(columns_)), in the currency of the outcome
        names : list of str, `columns_`
        """
        check_is_fitted(self)
        check_frame(frame, [*self.columns_, PACE])
        matrix = self.binner_.transform(self.encoder_.transform(frame))
        anchor = frame[PACE].to_numpy(dtype=float)
        size = np.abs(anchor) + self.floor_
        bias, change = path_contributions(self.change_, matrix)
        money = size[:, None] * change
        if PACE in self.columns_:
            money[:, self.columns_.index(PACE)] += anchor - self.median_pace_
        if self.stays_ is None:
            return money, list(self.columns_)
        margin = anchor + size * (bias + change.sum(axis=1))
        usual, odds = path_contributions(self.stays_, matrix)
        chance = expit(usual + odds.sum(axis=1))
        money *= chance[:, None]
        odds *= (margin * chance * (1 - chance))[:, None]
        return money + odds, list(self.columns_)
